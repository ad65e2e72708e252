//! The contract of `Service`, for what a program without a sidecar is made of.

use http::{HeaderValue, request::Parts};
use mesh_conformance::{Conformance, Mock};
use mesh_discover::{
    Backend, Destination, Endpoint, Profile, Watch,
    embedded::{Inbound, Metrics, Outbound},
};
use mesh_profile::ProfileLayer;
use mesh_retry::RetryLayer;
use tokio::runtime::{Builder, Runtime};
use tower::Layer as _;

const NAME: &str = "web.shop.svc.cluster.local:80";

/// On which a service follows its watch; what is checked needs none.
fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// A destination with a route for what the harness sends, and leaves of so many endpoints.
fn web(leaves: &[u16]) -> Destination {
    let spec = serde_json::json!({
        "routes": [{"name": "PUT /some", "condition": {"method": "PUT"}}],
    });
    let profile: Profile = serde_json::from_value(spec).unwrap();
    let leaves = leaves.iter().enumerate().map(|(n, endpoints)| {
        let addr = |port| ([127, 0, 0, u8::try_from(n).unwrap()], port).into();
        let endpoints = (1..=*endpoints).map(|port| Endpoint::new(addr(port)));
        (Backend::new(format!("web-{n}"), endpoints), 1)
    });
    Destination::named("web", NAME)
        .with_profile(profile)
        .with_split(leaves)
}

/// Calls `make` with a watch of `destination` that has a value.
fn follow<T>(
    runtime: &Runtime,
    destination: Destination,
    make: impl FnOnce(Watch<Destination>) -> T,
) -> T {
    let (says, watch) = Watch::channel();
    says.publish(destination);
    runtime.block_on(async {
        let made = make(watch);
        // The task that follows has its turn, and waits for nothing: its first word is here.
        tokio::task::yield_now().await;
        made
    })
}

fn outbound(runtime: &Runtime, inner: &Mock, leaves: &[u16]) -> Outbound<Mock> {
    let inner = inner.clone();
    let outbound = follow(runtime, web(leaves), |watch| {
        Outbound::follow(watch, &Metrics::new(), move |_| inner.clone())
    });
    assert_eq!(outbound.profile().get().routes().len(), 1);
    outbound
}

fn grpc(head: &mut Parts) {
    let value = HeaderValue::from_static("application/grpc");
    head.headers.insert("content-type", value);
}

#[test]
fn the_way_to_a_destination_keeps_the_contract() {
    let runtime = runtime();
    for leaves in [&[1][..], &[3], &[1, 2], &[2, 0, 1]] {
        Conformance::new(|inner| outbound(&runtime, &inner, leaves))
            .chooses_in_call()
            .check();
    }
}

#[test]
fn the_whole_stack_of_a_program_keeps_the_contract() {
    let runtime = runtime();
    for prepare in [(|_| {}) as fn(&mut Parts), grpc] {
        Conformance::new(|inner| {
            let web = outbound(&runtime, &inner, &[1, 2]);
            let profile = ProfileLayer::watch(web.profile().clone());
            let (effective, actual) = (web.stats().effective(), web.stats().actual());
            let retry = RetryLayer::per_route(web.budget().clone()).max_attempts(2);
            profile.layer(effective.layer(retry.layer(actual.layer(web))))
        })
        .prepare(prepare)
        .chooses_in_call()
        .sends_failures_again()
        .check();
    }
}

#[test]
fn what_counts_a_programs_own_requests_keeps_the_contract() {
    let runtime = runtime();
    let inbound = follow(&runtime, web(&[]), |watch| {
        Inbound::follow(watch, &Metrics::new())
    });
    for prepare in [(|_| {}) as fn(&mut Parts), grpc] {
        Conformance::new(|inner| inbound.layer(inner))
            .prepare(prepare)
            .check();
    }
    let counted = &inbound.stats().snapshot()["PUT /some"];
    assert!(counted.effective.requests > 0, "{counted:?}");
}
