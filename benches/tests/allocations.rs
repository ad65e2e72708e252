//! Counts the allocations of the hot path. The counts are exact on any machine.

use allocation_counter::measure;
use http::{Method, Request};
use mesh_benches::{
    NoBody, Noop, profiles, request, send,
    stack::Destination,
    upload,
    wire::{Protocol, Wire},
};
use mesh_profile::Route;
use mesh_retry::{Budget, RetryLayer};
use tower_layer::Layer;
use tower_service::Service;

/// Returns the allocations of `service` above those of [`Noop`], from the call to the drop of the
/// response, after earlier requests.
fn above_bare<S: Service<Request<NoBody>>>(service: &mut S, req: &Request<NoBody>) -> u64
where
    S::Error: std::fmt::Debug,
{
    for _ in 0..100 {
        send(service, req.clone());
    }
    let (mine, bare) = (req.clone(), req.clone());
    let mine = measure(|| drop(send(service, mine))).count_total;
    mine - measure(|| drop(send(&mut Noop, bare))).count_total
}

fn routed(route: Route) -> Request<NoBody> {
    let mut req = request(Method::GET, "/books/1.json");
    req.extensions_mut().insert(route);
    req
}

#[test]
fn a_match_asks_for_no_memory() {
    let hard = (0..50).map(profiles::hard);
    let templates = (0..1_000).map(profiles::template);
    let profile = profiles::profile(hard.chain(templates), false);
    for path in [
        profiles::path(0),
        profiles::path(999),
        profiles::hard_path(49),
        "/no/such/path".to_owned(),
    ] {
        let mut name = String::with_capacity(32);
        let info = measure(|| name.push_str(profile.route_for(&Method::GET, &path).name()));
        assert_eq!(info.count_total, 0, "{path} is {name}");
    }
}

#[test]
fn a_retry_layer_asks_for_no_memory_for_a_request_that_is_not_retryable() {
    let mut service = RetryLayer::per_route(Budget::default()).layer(Noop);
    let req = routed(Route::new("POST /books"));
    assert_eq!(above_bare(&mut service, &req), 0);
}

#[test]
fn a_budget_asks_for_no_memory() {
    #[allow(
        clippy::disallowed_methods,
        reason = "an instant is needed, of whatever value"
    )]
    let (budget, now) = (Budget::default(), std::time::Instant::now());
    let info = measure(|| {
        budget.deposit(now);
        assert!(budget.withdraw(now));
    });
    assert_eq!(info.count_total, 0);
}

/// The route goes into extensions that were empty: a box for them, a table, and a box for it.
#[test]
fn a_client_stack_asks_for_memory_three_times() {
    let mut client = Destination::new(false).client();
    let req = request(Method::GET, &Destination::path());
    assert_eq!(above_bare(&mut client, &req), 3);
}

#[test]
fn a_client_stack_asks_for_memory_seven_times_if_it_may_have_to_retry() {
    let mut client = Destination::new(true).client();
    let req = request(Method::GET, &Destination::path());
    assert_eq!(above_bare(&mut client, &req), 7);
}

#[test]
fn a_long_upload_is_not_kept_for_a_second_attempt() {
    let (mut retried, mut bare) = (0, 0);
    let above = measure(|| retried = upload::retried()).bytes_max;
    let above = above - measure(|| bare = upload::bare()).bytes_max;
    assert_eq!((retried, bare), (upload::LENGTH, upload::LENGTH));
    assert!(above <= 16 << 20, "{above} bytes above the bare service");
}

/// hyper, tokio and buffers that are shared by several requests included: hence no exact number.
#[test]
fn a_proxied_request_asks_for_memory_a_limited_number_of_times() {
    for (protocol, most) in [
        (Protocol::Http1, 16),
        (Protocol::H2c, 60),
        (Protocol::Grpc, 66),
    ] {
        let mut wire = Wire::new(protocol);
        let each = measure(|| wire.exchange(100)).count_total as f64 / 100.0;
        assert!(
            each <= f64::from(most),
            "{each} for a request over {protocol:?}"
        );
    }
}
