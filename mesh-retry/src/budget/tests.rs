use super::*;
use proptest::prelude::*;
use std::{collections::VecDeque, thread, time::Duration};

#[allow(
    clippy::disallowed_methods,
    reason = "an origin is needed, of whatever value"
)]
fn origin() -> Instant {
    Instant::now()
}

fn budget(ratio: f64, min: u32, ttl: u64) -> Budget {
    let limits = RetryBudget::new(ratio, min, Duration::from_secs(ttl)).unwrap();
    Budget::with_shards(limits, 4)
}

fn drain(budget: &Budget, now: Instant) -> usize {
    (0..100_000).take_while(|_| budget.withdraw(now)).count()
}

#[test]
fn the_default_allows_a_hundred_retries_to_a_silent_service() {
    let (budget, now) = (Budget::default(), origin());
    assert_eq!(drain(&budget, now), 100);
    assert_eq!(drain(&budget, now + Duration::from_secs(9)), 0);
    assert_eq!(drain(&budget, now + Duration::from_secs(11)), 100);
}

#[test]
fn ratios_are_exact() {
    for (ratio, originals, expected) in [
        (0.001, 10_000, 10),
        (0.1, 1000, 100),
        (0.2, 1000, 200),
        (0.3, 1000, 300),
        (0.6, 1000, 600),
        (0.7, 10, 7),
        (1.5, 1000, 1500),
        (10.0, 100, 1000),
    ] {
        let (budget, now) = (budget(ratio, 0, 10), origin());
        for _ in 0..originals {
            budget.deposit(now);
        }
        assert_eq!(drain(&budget, now), expected, "ratio {ratio}");
    }
}

#[test]
fn originals_count_for_a_whole_ttl() {
    let (budget, now) = (budget(0.5, 0, 10), origin());
    for _ in 0..10 {
        budget.deposit(now);
    }
    assert!(budget.withdraw(now + Duration::from_millis(9_999)));
    assert!(!budget.withdraw(now + Duration::from_millis(10_001)));
}

#[test]
fn clones_share_one_balance_and_its_limits() {
    let (budget, now) = (budget(0.0, 1, 10), origin());
    let other = budget.clone();
    assert_eq!(drain(&budget, now), 10);
    assert_eq!(drain(&other, now), 0);
    other.update(RetryBudget::new(0.0, 2, Duration::from_secs(10)).unwrap());
    assert_eq!(drain(&budget, now), 10);
    assert_eq!(budget.limits().min_per_second(), 2);
}

#[test]
fn new_limits_apply_to_what_was_counted_before() {
    let (budget, now) = (budget(0.1, 0, 10), origin());
    for _ in 0..100 {
        budget.deposit(now);
    }
    assert_eq!(drain(&budget, now), 10);
    budget.update(RetryBudget::new(0.3, 0, Duration::from_secs(10)).unwrap());
    assert_eq!(drain(&budget, now), 20);
    budget.update(RetryBudget::new(0.1, 0, Duration::from_secs(10)).unwrap());
    assert_eq!(drain(&budget, now), 0);
}

#[test]
fn a_new_ttl_gives_no_second_minimum() {
    let (budget, mut now) = (budget(0.0, 10, 10), origin());
    assert_eq!(drain(&budget, now), 100);
    for ttl in [20, 5, 60, 1, 10] {
        now += Duration::from_millis(10);
        budget.update(RetryBudget::new(0.0, 10, Duration::from_secs(ttl)).unwrap());
        let granted = drain(&budget, now);
        assert!(granted <= (ttl * 10) as usize, "ttl {ttl}: {granted}");
    }
    // 200 were granted with a ttl of 20, 600 with 60: all of it is remembered.
    assert_eq!(drain(&budget, now + Duration::from_secs(5)), 0);
    assert_eq!(drain(&budget, now + Duration::from_secs(21)), 100);
}

#[test]
fn ten_idle_years_are_nothing() {
    let (budget, now) = (Budget::default(), origin());
    budget.deposit(now);
    assert_eq!(drain(&budget, now), 100);
    let later = now + Duration::from_secs(10 * 365 * 24 * 3600);
    budget.deposit(later);
    assert_eq!(drain(&budget, later), 100);
}

#[test]
fn time_that_runs_backwards_grants_nothing_twice() {
    let (budget, now) = (budget(0.0, 1, 10), origin() + Duration::from_secs(100));
    assert_eq!(drain(&budget, now), 10);
    assert_eq!(drain(&budget, now - Duration::from_secs(50)), 0);
}

#[test]
fn threads_together_get_what_one_would() {
    let (budget, now) = (budget(0.3, 1, 10), origin());
    let granted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        budget.deposit(now);
                    }
                    (0..1000).filter(|_| budget.withdraw(now)).count()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    let granted = granted + drain(&budget, now);
    let allowed = (0.3 * 8000.0) as usize + 10;
    assert_eq!(granted, allowed);
}

#[derive(Clone, Debug)]
enum Op {
    Originals(u16),
    Retries(u16),
    Pass(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1..200_u16).prop_map(Op::Originals),
        (1..100_u16).prop_map(Op::Retries),
        (0..3_000_u64).prop_map(|ms| Op::Pass(Duration::from_millis(ms))),
    ]
}

/// Ratios with two or three decimals, or with arbitrary ones.
fn ratio() -> impl Strategy<Value = f64> {
    prop_oneof![
        (1..1000_u32).prop_map(|n| f64::from(n) / 100.0),
        (1..10_000_u32).prop_map(|n| f64::from(n) / 1000.0),
        0.001..10.0_f64,
    ]
}

proptest! {
    /// The law, checked against every single event.
    #[test]
    fn no_grant_exceeds_the_law(
        ratio in ratio(),
        min in 0..20_u32,
        ttl in 1_000..15_000_u64,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let ttl = Duration::from_millis(ttl) + Duration::from_nanos(ttl % 7);
        let budget = Budget::with_shards(RetryBudget::new(ratio, min, ttl).unwrap(), 3);
        let mut now = origin();
        let (mut originals, mut grants) = (VecDeque::new(), VecDeque::new());
        for op in ops {
            match op {
                Op::Pass(time) => now += time,
                Op::Originals(n) => for _ in 0..n {
                    budget.deposit(now);
                    originals.push_back(now);
                },
                Op::Retries(n) => for _ in 0..n {
                    if !budget.withdraw(now) {
                        continue;
                    }
                    grants.push_back(now);
                    for events in [&mut originals, &mut grants] {
                        while events.front().is_some_and(|at| *at + ttl <= now) {
                            events.pop_front();
                        }
                    }
                    let allowed = ratio * originals.len() as f64
                        + f64::from(min) * ttl.as_secs_f64();
                    prop_assert!(grants.len() as f64 <= allowed + 1e-6);
                },
            }
        }
    }

    /// At one instant, nothing is lost.
    #[test]
    fn everything_earned_is_granted(
        ratio in ratio(),
        min in 0..20_u32,
        ttl in 1..60_u32,
        originals in 0..5_000_u32,
    ) {
        let (budget, now) = (budget(ratio, min, ttl.into()), origin());
        for _ in 0..originals {
            budget.deposit(now);
        }
        let allowed = (ratio * f64::from(originals) + 1e-6).floor() as usize + (min * ttl) as usize;
        let granted = drain(&budget, now);
        prop_assert!(granted == allowed, "{} of {}", granted, allowed);
    }
}
