//! The contract of `Service`, for every layer, with and without something to do.

use http::{HeaderValue, request::Parts};
use mesh_conformance::Conformance;
use mesh_timeout::{
    AcceptDeadlineLayer, BodyTimeoutLayer, Deadline, PropagateDeadlineLayer, Route, TimeoutLayer,
    Timeouts,
};
use std::time::Duration;
use tower::Layer;

const LIMIT: Duration = Duration::from_secs(10);

fn nothing(_: &mut Parts) {}

fn route_with_limits(head: &mut Parts) {
    let mut limits = Timeouts::default();
    limits.head = Some(LIMIT);
    limits.exchange = Some(LIMIT);
    limits.idle = Some(LIMIT);
    limits.attempt = Some(LIMIT);
    let route = Route::new("limited").with_timeouts(limits);
    head.extensions.insert(route);
}

fn header(head: &mut Parts) {
    let value = HeaderValue::from_static("10S");
    head.headers.insert("mesh-deadline", value);
}

fn deadline(head: &mut Parts) {
    let at = (tokio::time::Instant::now() + LIMIT).into_std();
    let deadline = Deadline::default().with_head(at).with_exchange(at);
    head.extensions.insert(deadline);
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_the_head_keeps_the_contract() {
    for layer in [
        TimeoutLayer::per_route(),
        TimeoutLayer::per_attempt(),
        TimeoutLayer::new(LIMIT),
        TimeoutLayer::new(LIMIT).announce(),
    ] {
        for prepare in [nothing as fn(&mut Parts), route_with_limits, deadline] {
            Conformance::new(|inner| layer.layer(inner))
                .prepare(prepare)
                .check();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_on_bodies_keep_the_contract() {
    for layer in [
        BodyTimeoutLayer::per_route(),
        BodyTimeoutLayer::per_route()
            .with_idle(LIMIT)
            .with_exchange(LIMIT),
        BodyTimeoutLayer::per_route().with_head(TimeoutLayer::new(LIMIT)),
    ] {
        for prepare in [nothing as fn(&mut Parts), route_with_limits, deadline] {
            Conformance::new(|inner| layer.layer(inner))
                .prepare(prepare)
                .check();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_obeys_deadlines_keeps_the_contract() {
    for layer in [AcceptDeadlineLayer::new(), AcceptDeadlineLayer::again()] {
        for prepare in [nothing as fn(&mut Parts), header, deadline] {
            Conformance::new(|inner| layer.layer(inner))
                .prepare(prepare)
                .check();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_passes_deadlines_on_keeps_the_contract() {
    for prepare in [nothing as fn(&mut Parts), deadline] {
        Conformance::new(|inner| PropagateDeadlineLayer::new().layer(inner))
            .prepare(prepare)
            .check();
    }
}
