//! Requests that can be sent again: what is kept of one until it has arrived, and what comes back.

use crate::http::extensions;
use http::{Extensions, Method, Request, Response};
use mesh_core::{Attempt, hot::KeptHead};
use mesh_timeout::Deadline;
use std::{
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// A request without a body as it came to the pool, kept until it is known to have arrived.
pub(super) struct Spare {
    /// Its head, unless a retry layer keeps that: it then is with the attempt in the extensions.
    own: Option<Box<KeptHead>>,
    extensions: Extensions,
}

/// The head of a request with these extensions that a retry layer keeps.
///
/// It is of use only while what is sent is what was kept: a retry says in its head that it is one,
/// and where there is a deadline, a layer in between states what is left of it.
fn lent(extensions: &Extensions) -> Option<&KeptHead> {
    let attempt = extensions.get::<Attempt>()?;
    let is_changed = attempt.is_retry() || extensions.get::<Deadline>().is_some();
    attempt.kept().filter(|_| !is_changed)
}

impl Spare {
    /// Takes the extensions along: they mean nothing to hyper.
    pub(super) fn of<B>(req: &mut Request<B>) -> Self {
        let lent = lent(req.extensions());
        debug_assert!(
            lent.is_none_or(|head| *head == KeptHead::of(req)),
            "a head was changed"
        );
        let own = lent.is_none().then(|| Box::new(KeptHead::of(req)));
        Self {
            own,
            extensions: mem::take(req.extensions_mut()),
        }
    }

    fn head(&self) -> &KeptHead {
        let head = self.own.as_deref().or_else(|| lent(&self.extensions));
        head.expect("what is not lent is our own")
    }

    pub(super) fn method(&self) -> &Method {
        self.head().method()
    }

    /// The request again, with the body that hyper did not need to read.
    pub(super) fn into_request<B>(mut self, body: B) -> Request<B> {
        let mut req = self.head().to_request().map(|()| body);
        *req.extensions_mut() = mem::take(&mut self.extensions);
        req
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        extensions::reuse(mem::take(&mut self.extensions));
    }
}

/// A request that comes back, for another endpoint.
pub(crate) struct Returned<B> {
    pub(crate) req: Request<B>,
    /// Where it did not get to.
    pub(crate) from: SocketAddr,
    /// Whether somebody may have seen it. Otherwise it never left.
    pub(crate) lost: bool,
}

/// One in the extensions of an answer.
struct Shared<B>(Arc<Mutex<Option<Returned<B>>>>);

impl<B: Send + 'static> Returned<B> {
    /// Comes back with `rsp`.
    pub(super) fn go_with<B2>(self, rsp: &mut Response<B2>) {
        let shared = Shared(Arc::new(Mutex::new(Some(self))));
        rsp.extensions_mut().insert(shared);
    }

    /// What comes back with an answer.
    pub(crate) fn take_from<B2>(rsp: &mut Response<B2>) -> Option<Self> {
        let Shared(returned) = rsp.extensions_mut().remove()?;
        let mut returned = returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.take()
    }
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
