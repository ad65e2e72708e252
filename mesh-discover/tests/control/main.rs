//! A real client against a controller that says what the test tells it to.

mod controller;
mod refusal;
mod removal_grace;

use controller::*;
use linkerd2_proxy_api::destination::DestinationProfile;
use mesh_discover::{ControlConfig, Workload};
use tonic::Status;

#[tokio::test]
async fn a_destination_is_its_profile_and_its_leaves_together() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("web:8080");
    assert_eq!(watch.current(), None);

    let (asked, profile) = controller.profile().await;
    assert_eq!(asked.path, "web:8080");
    assert_eq!(asked.context_token, r#"{"ns":"shop"}"#);
    profile.send(Ok(named(&[]))).await.unwrap();
    let (asked, apex) = controller.endpoints().await;
    assert_eq!(asked.path, format!("{WEB}:8080"));
    apex.send(Ok(add(&[1, 2]))).await.unwrap();
    let first = watch.ready().await.unwrap();
    assert_eq!(
        first.name().map(|name| &**name),
        Some(&*format!("{WEB}:8080"))
    );
    assert_eq!(ports(&first), [1, 2]);

    // A split keeps the apex's stream, and is announced once the new leaf is known.
    let split = named(&[(&format!("{WEB}:8080"), 9), ("web-2.shop.svc:8080", 1)]);
    profile.send(Ok(split)).await.unwrap();
    let (asked, canary) = controller.endpoints().await;
    assert_eq!(asked.path, "web-2.shop.svc:8080");
    canary.send(Ok(add(&[3]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [1, 2, 3]);

    // And ends with the leaf.
    profile.send(Ok(named(&[]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [1, 2]);
    canary.closed().await;
    assert!(!apex.is_closed());
}

#[tokio::test]
async fn a_name_outside_the_mesh_is_answered_too() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("example.com:443");
    let (_, profile) = controller.profile().await;
    let unknown = DestinationProfile::default();
    profile.send(Ok(unknown)).await.unwrap();
    let destination = watch.ready().await.unwrap();
    assert!(!destination.is_known());
    assert!(destination.backends().is_empty());
}

#[tokio::test]
async fn a_subscription_is_shared_and_ends_with_its_last_watch() {
    let mut controller = Controller::new().await;
    let control = controller.client();
    let first = control.destination("web");
    let second = control.clone().destination("web");
    let (_, profile) = controller.profile().await;
    drop(first);
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    assert!(second.clone().ready().await.is_some());
    drop(second);
    profile.closed().await;

    let mut again = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[7]))).await.unwrap();
    assert_eq!(ports(&again.ready().await.unwrap()), [7]);
}

#[tokio::test]
async fn the_last_answer_outlives_the_controller_and_the_next_one_replaces_it() {
    let mut controller = Controller::new().await;
    let control = controller.client();
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    let addr = controller.kill().await;
    let mut controller = Controller::start(addr).await;
    let (profile, endpoints) = controller.both().await;
    // A controller that has said nothing yet is none.
    assert!(control.lost().is_some() && !control.is_connected());
    assert_eq!(ports(&watch.current().unwrap()), [1, 2]);
    profile.send(Ok(named(&[]))).await.unwrap();
    endpoints.send(Ok(add(&[]))).await.unwrap();
    endpoints.send(Ok(add(&[2, 3]))).await.unwrap();
    // Neither the same profile nor the empty update was news.
    assert_eq!(next(&mut watch).await, [2, 3]);
    assert!(control.lost().is_none() && control.is_connected());
    assert_eq!(control.ignored(), 1);

    endpoints.send(Ok(none())).await.unwrap();
    assert!(next(&mut watch).await.is_empty());
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_on_the_same_connection() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("web");
    let (_, profile) = controller.profile().await;
    let refused = Status::internal("not today");
    profile.send(Err(refused)).await.unwrap();
    let (_, profile) = controller.profile().await;
    drop(profile);
    let (_, profile) = controller.profile().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    assert!(watch.ready().await.is_some());
}

#[tokio::test]
async fn a_controller_that_is_late_is_found() {
    let controller = Controller::new().await;
    let control = controller.client();
    let addr = controller.kill().await;
    let mut watch = control.destination("web");
    assert_eq!(watch.current(), None);

    let mut controller = Controller::start(addr).await;
    let (_, profile) = controller.profile().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    assert!(watch.ready().await.is_some());
}

#[tokio::test]
async fn a_leaf_nobody_answers_for_does_not_hold_up_the_rest() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("web");
    let (_, profile) = controller.profile().await;
    let split = named(&[("a.shop.svc:80", 1), ("b.shop.svc:80", 1)]);
    profile.send(Ok(split)).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..2 {
        let (asked, endpoints) = controller.endpoints().await;
        match asked.path.as_str() {
            "a.shop.svc:80" => endpoints.send(Ok(add(&[1]))).await.unwrap(),
            _ => silent.push(endpoints.clone()),
        }
        silent.push(endpoints);
    }
    let destination = watch.ready().await.unwrap();
    assert_eq!(destination.backends().len(), 2);
    assert_eq!(ports(&destination), [1]);
}

#[test]
fn an_address_is_host_and_port() {
    for addr in ["127.0.0.1:8086", "controller.mesh:8086", "[::1]:8086"] {
        assert_eq!(ControlConfig::new(addr).unwrap().addr(), addr);
    }
    for addr in [
        "",
        "localhost",
        "localhost:0",
        ":80",
        "http://a:80",
        "a:b",
        "u@a:80",
    ] {
        assert!(ControlConfig::new(addr).is_err(), "{addr}");
    }
}

#[tokio::test]
async fn a_controller_without_registrations_is_followed_all_the_same() {
    let mut controller = Controller::new().await;
    let control = controller.client();
    let registration = control.register(Workload::new("front"));
    let refused = registration.registered().await.unwrap_err();
    assert!(refused.is_unknown(), "{refused}");

    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    let unknown = DestinationProfile::default();
    profile.send(Ok(unknown)).await.unwrap();
    assert!(watch.ready().await.is_some());
    registration.end().await;
}
