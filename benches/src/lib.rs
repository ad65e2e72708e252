//! What the benchmarks share: a service that does nothing, and requests to send through it.

use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};
use tower_service::Service;

/// Answers everything with an empty 200, at once: what is measured above it is the layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

impl<B> Service<Request<B>> for Noop {
    type Response = Response<NoBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(NoBody)))
    }
}

/// A body without frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBody;

impl Body for NoBody {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// A request as a browser's proxy might send it: eight headers.
pub fn request(method: Method, uri: &str) -> Request<NoBody> {
    let mut req = Request::new(NoBody);
    *req.method_mut() = method;
    *req.uri_mut() = uri.parse().expect("a valid URI");
    for (name, value) in [
        ("host", "books.booksapp.svc.cluster.local:7002"),
        ("user-agent", "bench/1.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("accept-language", "en"),
        ("x-request-id", "5f0c9a3e-51c1-4f6e-a6f8-3b6f1e2d4c5b"),
        ("x-forwarded-for", "10.1.2.3"),
        ("cache-control", "no-cache"),
    ] {
        req.headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    req
}
