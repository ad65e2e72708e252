//! Requests that can be sent again: what is kept of one until it has arrived, and what comes back.

use http::{Method, Request, Response, Version};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// The head of a request without a body, kept until it is known to have arrived.
pub(super) struct Spare {
    pub(super) method: Method,
    uri: http::Uri,
    version: Version,
    headers: http::HeaderMap,
    extensions: http::Extensions,
}

impl Spare {
    /// Takes the extensions along: they mean nothing to hyper.
    pub(super) fn of<B>(req: &mut Request<B>) -> Self {
        Self {
            method: req.method().clone(),
            uri: req.uri().clone(),
            version: req.version(),
            headers: req.headers().clone(),
            extensions: std::mem::take(req.extensions_mut()),
        }
    }

    /// The request again, with the body that hyper did not need to read.
    pub(super) fn into_request<B>(self, body: B) -> Request<B> {
        let mut req = Request::new(body);
        *req.method_mut() = self.method;
        *req.uri_mut() = self.uri;
        *req.version_mut() = self.version;
        *req.headers_mut() = self.headers;
        *req.extensions_mut() = self.extensions;
        req
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

/// RFC 9110, 9.2.2.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}
