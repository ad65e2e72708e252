//! Endpoints that come and go, and requests that find none.

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mesh_balance::{Balance, BalanceHandle, BoxError, Config, Ejection, Fault, NoEndpoint};
use proptest::prelude::*;
use std::{collections::HashMap, net::SocketAddr, time::Duration};
use support::{Does, Endpoint, World, addr, get, ok};
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Service, ServiceExt};
use tower_test::{assert_request_eq, mock};

const LIMIT: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_an_endpoint_up_to_the_limit_and_then_fails() {
    let mut balance = Balance::<Endpoint>::new();
    assert!(!balance.is_available());
    let start = Instant::now();
    let error = balance
        .ready()
        .await
        .unwrap()
        .call(get())
        .await
        .unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(Fault::of(&*error), Some(Fault::NoEndpoint));
    assert_eq!(error.downcast::<NoEndpoint>().unwrap().limit(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_wait_fail_at_once() {
    let mut balance = Balance::<Endpoint>::with(Config::default().with_max_waiting(2));
    let mut waiting: Vec<_> = (0..2).map(|_| task::spawn(balance.call(get()))).collect();
    for call in &mut waiting {
        assert_pending!(call.poll());
    }
    let error = balance.call(get()).await.unwrap_err();
    let error = error.downcast::<NoEndpoint>().unwrap();
    assert!(error.is_crowded());
    assert_eq!(
        error.to_string(),
        "no endpoint, and 2 requests wait for one already"
    );
    // A cancelled request makes room.
    waiting.pop();
    assert_pending!(task::spawn(balance.call(get())).poll());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_wakes_at_once_when_an_endpoint_appears() {
    let world = World::of([ok(0)]);
    let mut balance = Balance::new();
    let mut call = task::spawn(balance.call(get()));
    assert_pending!(call.poll());
    advance(LIMIT - Duration::from_millis(1)).await;
    assert!(!call.is_woken());

    world.give(&balance.handle(), []);
    assert!(!call.is_woken());
    world.give(&balance.handle(), [0]);
    assert!(call.is_woken());
    assert!(balance.is_available());
    assert_eq!(call.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_again_before_the_request_looks_is_not_used() {
    let world = World::of([ok(0), ok(0)]);
    let mut balance = Balance::new();
    let mut call = task::spawn(balance.call(get()));
    assert_pending!(call.poll());
    world.give(&balance.handle(), [0]);
    world.give(&balance.handle(), []);
    assert_pending!(call.poll());
    world.give(&balance.handle(), [1]);
    assert!(call.is_woken());
    call.await.unwrap();
    assert_eq!(world.take_calls(2), [0, 1]);
}

#[tokio::test]
async fn a_request_in_flight_at_an_endpoint_that_is_removed_finishes() {
    let (service, mut handle) = mock::pair::<&str, Response<Full<Bytes>>>();
    let service = service.map_request(Request::into_body);
    let service = tower::util::BoxCloneSyncService::new(service);
    let mut balance = Balance::new();
    balance.handle().update([addr(0)], |_| service.clone());

    let mut call = task::spawn(balance.call(Request::new("a")));
    assert_pending!(call.poll());
    balance.handle().update([], |_| unreachable!());
    assert_request_eq!(handle, "a").send_response(Response::new(Full::from("done")));
    let rsp = assert_ready_ok!(call.poll());
    let body = rsp.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "done");
}

#[tokio::test]
async fn a_busy_endpoint_is_waited_for_in_the_future_and_counts_as_in_flight() {
    let (service, mut handle) = mock::pair::<&str, Response<Full<Bytes>>>();
    handle.allow(0);
    let service = tower::util::BoxCloneSyncService::new(service.map_request(Request::into_body));
    let mut balance = Balance::new();
    balance.handle().update([addr(0)], |_| service.clone());

    let mut call = task::spawn(balance.call(Request::new("a")));
    assert_pending!(call.poll());
    assert_eq!(balance.endpoints()[0].in_flight, 1);
    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    assert_request_eq!(handle, "a").send_response(Response::new(Full::default()));
    assert_ready_ok!(call.poll());
    assert_eq!(balance.endpoints()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_stay_keep_their_service_and_what_was_learned() {
    let world = World::of([ok(80), ok(80)]);
    let mut balance = Balance::new();
    world.give(&balance.handle(), [0]);
    let body = balance.call(get()).await.unwrap().into_body();
    body.collect().await.unwrap();
    assert_eq!(world.take_made(), [addr(0)]);

    world.give(&balance.handle(), [1, 0, 1]);
    assert_eq!(world.take_made(), [addr(1)]);
    let endpoints = balance.endpoints();
    assert_eq!(endpoints.len(), 2);
    assert_eq!(endpoints[1].addr, addr(0));
    let sampled = endpoints[1].latency;
    assert!(sampled.abs_diff(Duration::from_millis(80)) < Duration::from_millis(3));
    assert_eq!(endpoints[0].latency.as_millis(), 30, "nothing to go by");
}

#[tokio::test(start_paused = true)]
async fn late_answers_of_an_endpoint_are_not_held_against_its_successor() {
    let world = World::of([Does::Answers(503, LIMIT), ok(1)]);
    let mut balance = Balance::new();
    let handle: BalanceHandle<_> = balance.handle();
    world.give(&handle, [0]);
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(balance.call(get()))).collect();
    sleep(Duration::from_secs(1)).await;

    world.give(&handle, [1]);
    world.give(&handle, [0, 1]);
    assert_eq!(world.take_made(), [addr(0), addr(1), addr(0)]);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 503);
    }
    let endpoint = &balance.endpoints()[0];
    assert_eq!(endpoint.in_flight, 0);
    assert_eq!(endpoint.failure_ratio, 0.0);
    assert!(!endpoint.ejected);
}

#[tokio::test]
async fn a_replaced_endpoint_is_new_from_the_next_request_on() {
    let name = |name: &'static str| {
        tower::service_fn(move |_: Request<()>| async move {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(name)))
        })
    };
    let mut balance = Balance::new();
    let handle = balance.handle();
    handle.update([addr(0)], |_| {
        tower::util::BoxCloneSyncService::new(name("a"))
    });
    let b = || tower::util::BoxCloneSyncService::new(name("b"));
    let in_flight = balance.call(get()).await.unwrap();
    assert!(handle.replace(addr(0), b()));
    assert_eq!(balance.endpoints()[0].in_flight, 0);
    let body = in_flight.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "a");
    assert!(!handle.replace(addr(1), b()));
    let body = balance.call(get()).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "b");
}

#[test]
fn a_balance_is_as_sendable_as_its_endpoints() {
    fn check<T: Send + Sync + Clone>(_: &T) {}
    let balance = Balance::<Endpoint>::new();
    check(&balance);
    check(&balance.handle());
}

/// Fails always or never, at once.
fn at_once(
    fails: bool,
) -> impl Clone + Service<Request<()>, Response = Response<Full<Bytes>>, Error = BoxError, Future: Send>
{
    tower::service_fn(move |_| async move {
        if fails {
            return Err(Fault::Refused.into());
        }
        Ok(Response::new(Full::from("fine")))
    })
}

#[test]
fn threads_that_call_and_update_at_once_leave_nothing_behind() {
    let ejection = Ejection::default()
        .with_failures(1)
        .with_min(Duration::from_micros(10))
        .with_max(Duration::from_micros(100));
    let balance = Balance::with(Config::default().with_ejection(ejection));
    let update = |round: usize| {
        let present = (0..10).filter(|n| *n == 0 || !(n + round).is_multiple_of(3));
        let make = |addr: SocketAddr| at_once(addr.port() % 2 == 1);
        balance.handle().update(present.map(addr), make);
    };
    update(0);
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let mut balance = balance.clone();
            threads.spawn(move || {
                for n in 0..3_000 {
                    let mut call = task::spawn(balance.call(get()));
                    if n % 5 == thread {
                        continue; // cancelled
                    }
                    if let Ok(rsp) = assert_ready!(call.poll()) {
                        let mut body = task::spawn(rsp.into_body().collect());
                        assert_ready_ok!(body.poll());
                    }
                }
            });
        }
        for round in 0..500 {
            update(round);
        }
    });
    let endpoints = balance.endpoints();
    assert!(endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
    // The books balance: with all the bad gone, none is counted as ejected any more.
    balance
        .handle()
        .update([addr(0), addr(2)], |_| at_once(true));
    balance.handle().update([], |_| unreachable!());
    balance
        .handle()
        .update([addr(1), addr(3)], |_| at_once(true));
    let mut balance = balance;
    for _ in 0..10 {
        assert!(assert_ready!(task::spawn(balance.call(get())).poll()).is_err());
    }
    let ejected = balance.endpoints().iter().filter(|e| e.ejected).count();
    assert_eq!(ejected, 1);
}

#[derive(Clone, Debug)]
enum Step {
    Update(Vec<usize>),
    Call,
    Finish(prop::sample::Index),
    Cancel(prop::sample::Index),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::vec(0usize..8, 0..8).prop_map(Step::Update),
        6 => Just(Step::Call),
        3 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => (0u64..2_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever comes, goes, fails and is cancelled: requests reach present endpoints only, and
    /// requests in flight are counted exactly.
    #[test]
    fn requests_are_never_misrouted_or_miscounted(
        steps in prop::collection::vec(step(), 1..200),
        seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps, seed));
    }
}

async fn run(steps: Vec<Step>, seed: u64) {
    // Even ones answer 200, odd ones 503; all only when their turn comes.
    let world =
        World::of((0..8).map(|n| Does::Answers([200, 503][n % 2], Duration::from_millis(10))));
    let mut balance = Balance::with(Config::default().with_seed(seed));
    let handle = balance.handle();
    let mut generation = HashMap::<SocketAddr, usize>::new();
    let mut updates = 0;
    let mut in_flight = Vec::new();
    for step in steps {
        match step {
            Step::Update(numbers) => {
                updates += 1;
                generation.retain(|at, _| numbers.iter().any(|&n| addr(n) == *at));
                for &n in &numbers {
                    generation.entry(addr(n)).or_insert(updates);
                }
                world.give(&handle, numbers);
            }
            Step::Call if generation.is_empty() => {
                assert_pending!(task::spawn(balance.call(get())).poll());
            }
            Step::Call => {
                let mut call = task::spawn(balance.call(get()));
                assert_pending!(call.poll());
                let calls = world.take_calls(8);
                let chosen = addr(calls.iter().position(|&calls| calls == 1).unwrap());
                let generation = generation
                    .get(&chosen)
                    .expect("an endpoint that is present");
                in_flight.push((chosen, *generation, call));
            }
            Step::Finish(index) if !in_flight.is_empty() => {
                let (_, _, call) = in_flight.swap_remove(index.index(in_flight.len()));
                let rsp = call.await.unwrap();
                rsp.into_body().collect().await.unwrap();
            }
            Step::Cancel(index) if !in_flight.is_empty() => {
                drop(in_flight.swap_remove(index.index(in_flight.len())));
            }
            Step::Wait(ms) => advance(Duration::from_millis(ms)).await,
            Step::Finish(_) | Step::Cancel(_) => {}
        }
        let endpoints = balance.endpoints();
        assert_eq!(endpoints.len(), generation.len());
        let serving = endpoints.iter().filter(|endpoint| !endpoint.ejected);
        assert!(balance.is_available() == (serving.count() > 0 || !generation.is_empty()));
        for endpoint in endpoints {
            let expected = in_flight
                .iter()
                .filter(|(addr, born, _)| *addr == endpoint.addr && *born == generation[addr]);
            assert_eq!(endpoint.in_flight, expected.count(), "{endpoint:?}");
        }
    }
}
