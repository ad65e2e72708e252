//! Shares of slow, broken, recovering, new and tried endpoints.

mod support;

use http_body_util::BodyExt;
use mesh_balance::{Attempt, Balance, Change, Config, Ejection, Observer};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use support::{Does, Endpoint, World, addr, get, ok};
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt};

fn balance(world: &World, endpoints: usize, config: &Config) -> Balance<Endpoint> {
    let config = config.clone().with_seed(config.seed.unwrap_or(1));
    let balance = Balance::with(config);
    world.give(&balance.handle(), 0..endpoints);
    balance
}

/// Offers `rps` requests a second for a while, whatever becomes of them.
async fn offer(balance: &Balance<Endpoint>, rps: u32, duration: Duration) {
    let mut calls = Vec::new();
    for _ in 0..(rps as f64 * duration.as_secs_f64()) as u32 {
        let mut balance = balance.clone();
        calls.push(tokio::spawn(async move {
            let call = async { balance.ready().await?.call(get()).await };
            if let Ok(Ok(rsp)) = timeout(Duration::from_millis(500), call).await {
                rsp.into_body().collect().await.unwrap();
            }
        }));
        sleep(Duration::from_secs(1) / rps).await;
    }
    for call in calls {
        call.await.unwrap();
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Ejects at the first failure; the penalty alone would often keep it from a seventh.
fn eager() -> Config {
    Config::default().with_ejection(Ejection::default().with_failures(1))
}

fn no_ejection() -> Config {
    Config::default().with_ejection(None)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_fast_gets_under_one_percent_after_a_second() {
    let at_once = Does::Answers(503, Duration::ZERO);
    for fails in [at_once, Does::Refuses] {
        for (endpoints, rps, config) in [
            (2, 100, Config::default()),
            (2, 2_000, Config::default()),
            (3, 500, Config::default()),
            (10, 500, Config::default()),
            (2, 200, no_ejection()),
            (10, 500, no_ejection()),
        ] {
            let does = (0..endpoints).map(|n| if n == 1 { fails } else { ok(20) });
            let world = World::of(does);
            let balance = balance(&world, endpoints, &config);
            offer(&balance, rps, SECOND).await;
            world.take_calls(endpoints);

            offer(&balance, rps, 10 * SECOND).await;
            let calls = world.take_calls(endpoints);
            let share = calls[1] as f64 / calls.iter().sum::<usize>() as f64;
            assert!(
                share < 0.01,
                "{fails:?} {endpoints} {rps} {config:?}: {calls:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_that_fail_are_left_out_together() {
    let does = |n| if n % 2 == 1 { Does::Refuses } else { ok(20) };
    let world = World::of((0..10).map(does));
    let balance = balance(&world, 10, &Config::default());
    offer(&balance, 500, 2 * SECOND).await;
    world.take_calls(10);

    offer(&balance, 500, 10 * SECOND).await;
    let calls = world.take_calls(10);
    let failed: usize = calls.iter().skip(1).step_by(2).sum();
    assert!(failed < 50, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_serves_whatever_it_answers() {
    let world = World::of([Does::Refuses]);
    let balance = balance(&world, 1, &Config::default());
    offer(&balance, 100, 10 * SECOND).await;
    assert_eq!(world.take_calls(1), [1_000]);
    assert!(balance.is_available());
    assert!(!balance.endpoints()[0].ejected);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_one_stays_in_and_every_request_is_sent() {
    let world = World::of([Does::Refuses; 4]);
    let balance = balance(&world, 4, &Config::default());
    offer(&balance, 100, 10 * SECOND).await;
    assert_eq!(world.take_calls(4).iter().sum::<usize>(), 1_000);
    let ejected = balance.endpoints().iter().filter(|e| e.ejected).count();
    assert_eq!(ejected, 3);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_are_all_ejected_serve_until_one_recovers() {
    let world = World::of([Does::Refuses, Does::Refuses, ok(20)]);
    let balance = balance(&world, 3, &eager());
    offer(&balance, 100, 2 * SECOND).await;
    // The good one goes: what remains is out, and all there is.
    world.give(&balance.handle(), [0, 1]);
    assert!(balance.endpoints().iter().all(|endpoint| endpoint.ejected));
    world.take_calls(3);
    offer(&balance, 100, SECOND).await;
    let calls = world.take_calls(3);
    assert!(calls[0] > 0 && calls[1] > 0, "{calls:?}");
    assert_eq!(calls.iter().sum::<usize>(), 100);

    world.tell(0, ok(20));
    offer(&balance, 100, 10 * SECOND).await;
    let recovered = &balance.endpoints()[0];
    assert!(!recovered.ejected && recovered.failure_ratio < 0.01);
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_once_of_each_that_goes_and_comes_back() {
    let world = World::of([ok(1), Does::Refuses]);
    let told = Arc::<Mutex<Vec<Change>>>::default();
    let log = told.clone();
    let observer = Observer::new(move |change| log.lock().unwrap().push(change));
    let config = eager().with_observer(observer);
    let balance = balance(&world, 2, &config);
    // Long enough for some probes to fail.
    offer(&balance, 200, 20 * SECOND).await;
    assert!(world.take_calls(2)[1] > 2);
    let all = std::mem::take(&mut *told.lock().unwrap());
    let [Change::Ejected { addr: gone, pause }] = all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(gone, addr(1));
    assert!((SECOND..SECOND * 3 / 2).contains(&pause), "{pause:?}");

    world.tell(1, ok(1));
    // The fifth ejection, of up to 24 s, may have begun just now.
    offer(&balance, 200, 30 * SECOND).await;
    let all = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(all, [Change::Readmitted { addr: addr(1) }]);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_is_probed_by_one_request_at_a_time() {
    let world = World::of([ok(1), Does::Refuses]);
    let mut balance = balance(&world, 2, &eager());
    offer(&balance, 1_000, SECOND).await;
    assert!(balance.endpoints()[1].ejected);

    world.tell(1, Does::Hangs);
    sleep(2 * SECOND).await;
    world.take_calls(2);
    let mut probe = Box::pin(balance.call(get()));
    assert!(timeout(SECOND, &mut probe).await.is_err());
    offer(&balance, 100, 3 * SECOND).await;
    assert_eq!(world.take_calls(2), [300, 1]);

    // The prober leaves; the next one finds it well, and it takes its share at once.
    drop(probe);
    world.tell(1, ok(1));
    sleep(SECOND).await;
    offer(&balance, 100, SECOND).await;
    let calls = world.take_calls(2);
    assert!(!balance.endpoints()[1].ejected);
    assert!(calls[1] > 10, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn equals_get_equal_shares_and_the_slow_get_less() {
    let world = World::of([ok(10), ok(10), ok(10), ok(100)]);
    let balance = balance(&world, 4, &Config::default());
    offer(&balance, 500, 10 * SECOND).await;
    let calls = world.take_calls(4);
    for fast in &calls[..3] {
        assert!(fast.abs_diff(1_600) < 200, "{calls:?}");
    }
    assert!(calls[3] < 300, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_is_shunned_as_its_callers_give_up() {
    let world = World::of([ok(5), Does::Hangs]);
    let balance = balance(&world, 2, &Config::default());
    offer(&balance, 100, 10 * SECOND).await;
    let calls = world.take_calls(2);
    assert!(calls[1] < 10, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stays_open_does_not_keep_others_away_for_as_long() {
    let world = World::of([ok(2_000), ok(5), ok(5)]);
    let balance = balance(&world, 1, &Config::default());
    let slow_start = balance.clone().oneshot(get()).await.unwrap();
    slow_start.into_body().collect().await.unwrap();
    let stream = balance.clone().oneshot(get()).await.unwrap();
    world.tell(0, ok(5));
    world.give(&balance.handle(), 0..3);

    offer(&balance, 10, 300 * SECOND).await;
    world.take_calls(3);
    offer(&balance, 10, 60 * SECOND).await;
    let calls = world.take_calls(3);
    // Twice as expensive as the idle: asked when what it was seen to take fades to half.
    assert!(calls[0] > 1, "{calls:?}");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_comes_to_its_share_slowly() {
    let world = World::of([ok(10), ok(10), ok(10)]);
    let balance = balance(&world, 2, &Config::default());
    offer(&balance, 500, SECOND).await;
    world.give(&balance.handle(), 0..3);
    world.take_calls(3);

    offer(&balance, 500, SECOND).await;
    let early = world.take_calls(3)[2];
    assert!((5..120).contains(&early), "{early}");
    offer(&balance, 500, 10 * SECOND).await;
    world.take_calls(3);
    offer(&balance, 500, SECOND).await;
    let late = world.take_calls(3)[2];
    assert!((110..230).contains(&late), "{late}");
}

#[tokio::test(start_paused = true)]
async fn slow_start_and_ejection_can_be_turned_off() {
    let config = no_ejection().with_slow_start(Duration::ZERO);
    let world = World::of([ok(10), ok(10), Does::Refuses]);
    let balance = balance(&world, 1, &config);
    offer(&balance, 500, SECOND).await;
    world.take_calls(3);
    world.give(&balance.handle(), 0..3);
    offer(&balance, 500, SECOND).await;
    let calls = world.take_calls(3);
    assert!(calls[1] > 150, "{calls:?}");
    assert!(!balance.endpoints()[2].ejected);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_where_the_request_has_not_been() {
    let world = World::of([ok(0); 5]);
    let mut balance = balance(&world, 5, &Config::default());
    for _ in 0..50 {
        let mut attempt = Attempt::first();
        for tried in 1..=7 {
            let mut req = get();
            req.extensions_mut().insert(attempt.clone());
            balance.call(req).await.unwrap();
            assert_eq!(attempt.tried().len(), tried.min(5));
            attempt = attempt.next();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_could_not_be_made_goes_elsewhere_too() {
    let world = World::of([ok(0); 2]);
    let mut balance = balance(&world, 2, &Config::default());
    for _ in 0..50 {
        let attempt = Attempt::first();
        attempt.note(addr(0));
        let mut req = get();
        req.extensions_mut().insert(attempt);
        balance.call(req).await.unwrap();
    }
    assert_eq!(world.take_calls(2), [0, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_prefers_an_endpoint_that_was_tried_to_one_that_is_ejected() {
    let world = World::of([ok(1), Does::Refuses]);
    let mut balance = balance(&world, 2, &eager());
    offer(&balance, 1_000, SECOND).await;
    sleep(10 * SECOND).await;
    world.take_calls(2);

    let first = Attempt::first();
    first.note(addr(0));
    let mut req = get();
    req.extensions_mut().insert(first.next());
    balance.call(req).await.unwrap();
    assert_eq!(world.take_calls(2), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_choices_repeatable() {
    let run = async |seed| {
        let world = World::of([ok(3); 8]);
        let config = Config::default().with_seed(seed);
        let balance = balance(&world, 8, &config);
        offer(&balance, 300, SECOND).await;
        world.take_calls(8)
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
}

#[test]
fn a_subset_is_small_and_changes_little() {
    let chosen = |seed, addrs: &[SocketAddr]| {
        let balance = Balance::with(Config::default().with_subset(20).with_seed(seed));
        balance.handle().update(addrs.iter().copied(), |_| ());
        let endpoints = balance.endpoints();
        endpoints.iter().map(|e| e.addr).collect::<Vec<_>>()
    };
    let mut addrs: Vec<_> = (0..1_000).map(addr).collect();
    let before = chosen(1, &addrs);
    assert_eq!(before.len(), 20);
    assert!(before.is_sorted());
    assert_ne!(chosen(2, &addrs), before);

    addrs.retain(|addr| *addr != before[3]);
    let after = chosen(1, &addrs);
    assert_eq!(after.len(), 20);
    assert_eq!(
        before.iter().filter(|addr| !after.contains(addr)).count(),
        1
    );
}

#[test]
fn settings_have_the_documented_defaults() {
    let ejection = Ejection::default();
    assert_eq!(ejection.failures, 7);
    assert_eq!((ejection.min, ejection.max), (SECOND, 60 * SECOND));
    assert_eq!(Config::default().fail_fast, 3 * SECOND);
}
