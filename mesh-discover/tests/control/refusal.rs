//! A controller that refuses names and stays silent, as Linkerd's does.

use super::controller::*;
use linkerd2_proxy_api::destination::DestinationProfile;
use mesh_discover::{Control, ControlConfig, Endpoint, Protocol, wire};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};

const HOUR: Duration = Duration::from_secs(3_600);

/// A client that is in the namespace `shop` of `cluster.local`.
fn client(controller: &Controller, change: impl FnOnce(&mut ControlConfig)) -> Control {
    let config = ControlConfig::new(&controller.addr.to_string()).unwrap();
    let mut config = config.with_cluster("shop", "cluster.local");
    config.backoff = (Duration::ZERO, Duration::ZERO);
    config.first_endpoints = HOUR;
    config.refused_pause = HOUR;
    change(&mut config);
    Control::new(config)
}

#[tokio::test]
async fn a_refused_name_is_unknown_at_once_and_asked_for_again_rarely() {
    let codes = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::FailedPrecondition,
        Code::Unknown,
    ];
    for code in codes {
        let mut controller = Controller::new().await;
        let control = client(&controller, |_| {});
        let mut watch = control.destination("db.example.com:5432");
        let (_, profile) = controller.profile().await;
        profile.send(Err(Status::new(code, "no"))).await.unwrap();
        let destination = watch.ready().await.unwrap();
        assert!(!destination.is_known() && control.is_connected());
        // It is asked neither at once nor after the pause of a stream that ended.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(controller.opened.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_refused_name_is_found_when_it_is_asked_for_again() {
    let mut controller = Controller::new().await;
    let control = client(&controller, |config| {
        config.refused_pause = Duration::from_millis(20);
    });
    let begun = Instant::now();
    let mut watch = control.destination("web.shop.svc.cluster.local:80");
    let (_, profile) = controller.profile().await;
    profile
        .send(Err(Status::not_found("not yet")))
        .await
        .unwrap();
    assert!(!watch.ready().await.unwrap().is_known());
    let (_, profile) = controller.profile().await;
    assert!(begun.elapsed() >= Duration::from_millis(10));
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [1]);
}

#[tokio::test]
async fn a_refused_short_name_is_asked_for_in_full() {
    let mut controller = Controller::new().await;
    let mut watch = client(&controller, |_| {}).destination("web:8080");
    let (asked, profile) = controller.profile().await;
    assert_eq!(asked.path, "web:8080");
    let refused = Status::invalid_argument("not a service");
    profile.send(Err(refused)).await.unwrap();
    let (asked, profile) = controller.profile().await;
    assert_eq!(asked.path, "web.shop.svc.cluster.local:8080");
    profile.send(Ok(named(&[]))).await.unwrap();
    let (asked, endpoints) = controller.endpoints().await;
    assert_eq!(asked.path, "web.shop.svc.cluster.local:8080");
    endpoints.send(Ok(add(&[1]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1]);
}

#[tokio::test]
async fn a_refused_service_has_no_endpoints() {
    let mut controller = Controller::new().await;
    let mut watch = client(&controller, |_| {}).destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    let gone = Status::not_found("no such service");
    endpoints.send(Err(gone)).await.unwrap();
    let destination = watch.ready().await.unwrap();
    let backend = &destination.backends()[0];
    assert!(backend.endpoints().is_empty() && !backend.exists());
}

#[tokio::test]
async fn a_service_whose_endpoints_are_not_told_is_announced_without_them() {
    let mut controller = Controller::new().await;
    let control = client(&controller, |config| {
        config.first_endpoints = Duration::ZERO;
    });
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, _silent) = controller.endpoints().await;
    let destination = watch.ready().await.unwrap();
    let backend = &destination.backends()[0];
    assert!(backend.endpoints().is_empty() && backend.exists());
}

#[tokio::test]
async fn endpoints_that_a_new_stream_does_not_name_are_dropped() {
    let mut controller = Controller::new().await;
    let control = client(&controller, |config| {
        config.removal_grace = Duration::from_millis(20);
    });
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    // A controller that answers for the profile has had its chance to name endpoints.
    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, _silent) = controller.both().await;
    let begun = Instant::now();
    profile.send(Ok(named(&[]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [0; 0]);
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn the_address_of_a_pod_is_known_by_its_endpoint() {
    let mut controller = Controller::new().await;
    let mut watch = client(&controller, |_| {}).destination("10.0.0.1:5432");
    let (_, profile) = controller.profile().await;
    let labels = [("pod".to_owned(), "db-0".to_owned())];
    let endpoint = Endpoint::new(([10, 0, 0, 1], 5432).into())
        .with_labels(std::collections::BTreeMap::from(labels))
        .with_identity("db.shop.serviceaccount.identity.linkerd.cluster.local")
        .with_authority_override("db.east:5432");
    let answer = DestinationProfile {
        opaque_protocol: true,
        endpoint: Some(wire::endpoint_to_wire(&endpoint)),
        ..DestinationProfile::default()
    };
    profile.send(Ok(answer)).await.unwrap();
    let destination = watch.ready().await.unwrap();
    assert!(destination.is_known() && destination.name().is_none());
    assert_eq!(destination.protocol(), Protocol::Opaque);
    assert_eq!(destination.backends()[0].endpoints()[..], [endpoint]);
}
