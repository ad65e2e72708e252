//! The no-op service of the benchmarks, its requests, and the stacks between the two.

mod bodies;
pub mod documents;
pub mod profiles;
pub mod stack;
pub mod upload;
pub mod wire;

pub use self::bodies::{NoBody, Noop, Opaque, OpaqueFuture};

use http::{HeaderValue, Method, Request};
use std::{
    fmt,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};
use tower_service::Service;

/// A request as a browser's proxy might send it: eight headers.
///
/// # Panics
///
/// If `uri` is none.
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
            .insert(name, HeaderValue::from_static(value));
    }
    req
}

/// Polls `service` until it is ready, which it is at once, and calls it.
///
/// # Panics
///
/// If anything waits or fails: what is measured here never does.
pub fn send<S, R>(service: &mut S, req: R) -> S::Response
where
    S: Service<R>,
    S::Error: fmt::Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(ready) = service.poll_ready(&mut cx) else {
        panic!("the service is not ready");
    };
    ready.expect("a service that is ready");
    now(service.call(req)).expect("a response")
}

/// Returns the output of `future`, which must be ready at its first poll.
///
/// # Panics
///
/// If it is not.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready"),
    }
}
