//! The contract of `Service`: for requests that pass through, for those that are tried again,
//! and for those that can not be.

use http::{HeaderValue, Method, request::Parts};
use mesh_conformance::Conformance;
use mesh_retry::{Budget, Retries, RetryBudget, RetryLayer, Route};
use std::time::Duration;
use tower::Layer;

fn plenty() -> Budget {
    Budget::new(RetryBudget::new(10.0, 1_000, Duration::from_secs(10)).unwrap())
}

fn once(head: &mut Parts) {
    head.method = Method::POST;
}

fn retryable(head: &mut Parts) {
    // As the harness has no clock, no pause; and a limit, as all its budget would be spent.
    let retries = Retries::default().with_limit(3);
    head.extensions
        .insert(Route::new("retryable").with_retry_policy(retries));
}

fn grpc(head: &mut Parts) {
    retryable(head);
    let value = HeaderValue::from_static("application/grpc");
    head.headers.insert("content-type", value);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_not_be_retried_keeps_the_contract() {
    let layer = RetryLayer::new(plenty());
    // It is sent once, whatever becomes of it.
    Conformance::new(|inner| layer.layer(inner))
        .prepare(once)
        .check();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_retried_keeps_the_contract() {
    let layer = RetryLayer::per_route(plenty());
    for prepare in [retryable, grpc] {
        Conformance::new(|inner| layer.layer(inner))
            .prepare(prepare)
            .sends_failures_again()
            .check();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_request_keeps_the_contract() {
    let layer = RetryLayer::new(plenty()).max_attempts(2);
    Conformance::new(|inner| layer.layer(inner))
        .sends_failures_again()
        .check();
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_retries_are_spent_keeps_the_contract() {
    let nothing = RetryBudget::new(0.001, 0, Duration::from_secs(10)).unwrap();
    let layer = RetryLayer::per_route(Budget::new(nothing));
    Conformance::new(|inner| layer.layer(inner))
        .prepare(retryable)
        .check();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_kept_keeps_the_contract() {
    for layer in [
        RetryLayer::per_route(plenty()).max_body(0),
        RetryLayer::per_route(plenty()).max_body(4),
        RetryLayer::per_route(plenty()).max_memory(0),
    ] {
        Conformance::new(|inner| layer.layer(inner))
            .prepare(retryable)
            .sends_failures_again()
            .check();
    }
}
