//! Middleware that is known to be right is found right.

use http::{Request, Response};
use mesh_conformance::{Broken, Conformance, Mock, StrictBody};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tower::{
    Layer, Service, ServiceExt, layer::util::Identity, limit::ConcurrencyLimitLayer,
    timeout::TimeoutLayer,
};

#[test]
fn no_middleware_at_all_keeps_every_law() {
    Conformance::new(|inner| Identity::new().layer(inner)).check();
}

#[test]
fn a_concurrency_limit_keeps_every_law() {
    Conformance::new(|inner| ConcurrencyLimitLayer::new(8).layer(inner)).check();
}

#[tokio::test(start_paused = true)]
async fn a_timeout_keeps_every_law() {
    let layer = TimeoutLayer::new(Duration::from_secs(1));
    Conformance::new(|inner| layer.layer(inner)).check();
}

#[test]
fn a_boxed_service_keeps_every_law() {
    Conformance::new(|inner: Mock| -> tower::util::BoxCloneService<Request<StrictBody>, Response<StrictBody>, Broken> {
        inner.boxed_clone()
    })
    .check();
}

/// Waits for a clone in the response future.
#[derive(Clone)]
struct InCall(Mock);

impl Service<Request<StrictBody>> for InCall {
    type Response = Response<StrictBody>;
    type Error = Broken;
    type Future = tower::util::Oneshot<Mock, Request<StrictBody>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<StrictBody>) -> Self::Future {
        self.0.clone().oneshot(req)
    }
}

#[test]
fn a_service_that_chooses_in_call_keeps_every_law() {
    Conformance::new(InCall).chooses_in_call().check();
}
