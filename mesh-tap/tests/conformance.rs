//! The contract of `Service`, watched and not.

use mesh_conformance::Conformance;
use mesh_tap::{Filter, Tap};
use tower::Layer;

#[test]
fn a_tap_that_nobody_watches_keeps_the_contract() {
    let tap = Tap::new();
    for layer in [tap.layer(), tap.exchange()] {
        Conformance::new(|inner| layer.layer(inner)).check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_tap_that_is_watched_keeps_the_contract() {
    let tap = Tap::new();
    // One reads nothing, and its events are dropped; one sees nothing until a request is over.
    let _full = tap.subscribe(Filter::new(), 1);
    let _late = tap.subscribe(Filter::new().status(503..=503), 10_000);
    for layer in [tap.layer(), tap.exchange()] {
        Conformance::new(|inner| layer.layer(inner)).check();
    }
}

#[tokio::test(start_paused = true)]
async fn both_points_of_a_tap_together_keep_the_contract() {
    let tap = Tap::new();
    let _events = tap.subscribe(Filter::new(), 10_000);
    let (exchange, attempt) = (tap.exchange(), tap.layer());
    Conformance::new(|inner| exchange.layer(attempt.layer(inner)))
        .prepare(|head| {
            let value = http::HeaderValue::from_static("application/grpc");
            head.headers.insert("content-type", value);
        })
        .check();
}
