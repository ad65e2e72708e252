//! The contract of `Service`, for the layer that tags.

use mesh_conformance::Conformance;
use mesh_profile::{Profile, ProfileHandle, ProfileLayer};
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
