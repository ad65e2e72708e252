//! The contract of `Service`, for the layers that count.

use http::HeaderValue;
use mesh_conformance::Conformance;
use mesh_stats::{Route, Stats};
use tower::Layer;

#[tokio::test(start_paused = true)]
async fn every_level_of_statistics_keeps_the_contract() {
    let stats = Stats::new();
    for layer in [stats.effective(), stats.actual(), stats.endpoint()] {
        Conformance::new(|inner| layer.layer(inner)).check();
        // Of a gRPC call, the class is open until the trailers.
        Conformance::new(|inner| layer.layer(inner))
            .prepare(|head| {
                let value = HeaderValue::from_static("application/grpc");
                head.headers.insert("content-type", value);
            })
            .check();
    }
}

#[tokio::test(start_paused = true)]
async fn both_levels_around_one_service_keep_the_contract() {
    let stats = Stats::new();
    let (effective, actual) = (stats.effective(), stats.actual());
    Conformance::new(|inner| effective.layer(actual.layer(inner)))
        .prepare(|head| {
            let route = Route::new("PUT /some/{thing}").with_retries();
            head.extensions.insert(route);
        })
        .check();
    let counted = &stats.snapshot()["PUT /some/{thing}"];
    assert!(counted.effective.requests > 0, "{counted:?}");
}
