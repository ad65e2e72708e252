//! Requests that can be sent again: what is kept of one until it has arrived, and what comes back.

use crate::Hooks;
use http::{Extensions, Request, Response};
use mesh_core::hot::KeptHead;
use std::{
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// A request without a body as it came to the pool, kept until it is known to have arrived.
pub(super) struct Spare {
    /// Its head, unless a layer above keeps that: it then is with the attempt in the extensions.
    own: Option<Box<KeptHead>>,
    extensions: Extensions,
    hooks: &'static Hooks,
}

impl Spare {
    /// Takes the extensions along: they mean nothing to hyper.
    pub(super) fn of<B>(req: &mut Request<B>, hooks: &'static Hooks) -> Self {
        let lent = (hooks.kept_head)(req.extensions());
        debug_assert!(
            lent.is_none_or(|head| *head == KeptHead::of(req)),
            "a head was changed"
        );
        let own = lent.is_none().then(|| Box::new(KeptHead::of(req)));
        Self {
            own,
            extensions: mem::take(req.extensions_mut()),
            hooks,
        }
    }

    fn head(&self) -> &KeptHead {
        let head = self
            .own
            .as_deref()
            .or_else(|| (self.hooks.kept_head)(&self.extensions));
        head.expect("what is not lent is our own")
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
        (self.hooks.recycle)(mem::take(&mut self.extensions));
    }
}

/// A request that no endpoint has seen, handed back for another one.
#[derive(Debug)]
pub struct Returned<B> {
    /// The request as it came.
    pub req: Request<B>,
    /// The endpoint that did not get it.
    pub from: SocketAddr,
}

/// One in the extensions of an answer.
struct Shared<B>(Arc<Mutex<Option<Returned<B>>>>);

impl<B: Send + 'static> Returned<B> {
    /// Comes back with `rsp`.
    pub(super) fn go_with<B2>(self, rsp: &mut Response<B2>) {
        let shared = Shared(Arc::new(Mutex::new(Some(self))));
        rsp.extensions_mut().insert(shared);
    }

    /// The request that comes back with an answer.
    pub fn take_from<B2>(rsp: &mut Response<B2>) -> Option<Self> {
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
