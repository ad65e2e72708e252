//! A service played by the test, and what the tests say to it.

#![allow(dead_code, reason = "each test file uses its part of it")]

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use mesh_retry::{Budget, PeekBody, ReplayBody, Retry, RetryBudget, RetryLayer, Route};
use std::{convert::Infallible, time::Duration};
use tower_test::mock::{self, Mock, SendResponse, Spawn};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(crate) type Req = Request<ReplayBody<Body>>;
pub(crate) type Rsp = Response<Body>;
pub(crate) type Out = Response<PeekBody<Body>>;
pub(crate) type Svc = Spawn<Retry<Mock<Req, Rsp>>>;
pub(crate) type Handle = mock::Handle<Req, Rsp>;

pub(crate) fn spawn(layer: RetryLayer) -> (Svc, Handle) {
    mock::spawn_layer::<Req, Rsp, _>(layer)
}

/// `min` retries a second for ten seconds, and a share of the originals.
pub(crate) fn budget(ratio: f64, min: u32) -> Budget {
    Budget::new(RetryBudget::new(ratio, min, Duration::from_secs(10)).unwrap())
}

pub(crate) fn empty() -> Body {
    UnsyncBoxBody::new(Empty::new())
}

pub(crate) fn full(text: &'static str) -> Body {
    UnsyncBoxBody::new(Full::new(Bytes::from_static(text.as_bytes())))
}

pub(crate) fn request(method: Method) -> Request<Body> {
    let mut req = Request::new(empty());
    *req.method_mut() = method;
    req
}

pub(crate) fn retryable(body: Body) -> Request<Body> {
    let mut req = Request::post("/books").body(body).unwrap();
    req.extensions_mut()
        .insert(Route::new("POST /books").with_retries());
    req
}

pub(crate) fn grpc() -> Request<Body> {
    let mut req = retryable(empty());
    let value = "application/grpc".parse().unwrap();
    req.headers_mut().insert("content-type", value);
    req
}

pub(crate) fn status(status: u16) -> Rsp {
    Response::builder().status(status).body(empty()).unwrap()
}

/// A gRPC response that says its status in trailers.
pub(crate) fn trailing(headers: &[(&'static str, &'static str)]) -> Rsp {
    let trailers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    let body = Empty::new().with_trailers(async { Some(Ok(trailers)) });
    Response::new(UnsyncBoxBody::new(body))
}

pub(crate) async fn next(handle: &mut Handle) -> (Req, SendResponse<Rsp>) {
    handle.next_request().await.expect("the service is alive")
}
