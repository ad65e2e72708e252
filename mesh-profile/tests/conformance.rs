//! The contract of `Service`, for the layer that tags and the layers that count.

use http::HeaderValue;
use mesh_conformance::Conformance;
use mesh_profile::{Profile, ProfileHandle, ProfileLayer, stats::Stats};
use tower::Layer;

fn profile() -> Profile {
    serde_json::from_str(
        r#"{ "routes": [{
            "name": "PUT /some/{thing}",
            "condition": { "method": "PUT", "pathRegex": "/some/[^/]*" },
            "isRetryable": true,
            "timeout": "10s"
        }]}"#,
    )
    .unwrap()
}

#[test]
fn a_profile_layer_keeps_the_contract() {
    let handle = ProfileHandle::new(profile());
    for layer in [ProfileLayer::new(profile()), ProfileLayer::watch(handle)] {
        Conformance::new(|inner| layer.layer(inner)).check();
    }
}

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
async fn a_profile_and_its_statistics_together_keep_the_contract() {
    let (profile, stats) = (ProfileLayer::new(profile()), Stats::new());
    let (effective, actual) = (stats.effective(), stats.actual());
    Conformance::new(|inner| profile.layer(effective.layer(actual.layer(inner)))).check();
    let counted = &stats.snapshot()["PUT /some/{thing}"];
    assert!(counted.effective.requests > 0, "{counted:?}");
}
