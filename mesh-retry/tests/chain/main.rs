//! Five services in a row, in virtual time: what an outage of the last one does to it.
//!
//! A thousand requests a second come to A, which calls B, and so on to E. Each has a client of
//! its own: this crate's layer, around timeouts. E fails everything for a while, in one of three
//! ways. A seed decides how and how long, what E can bear, and when each request comes.

mod leaf;
mod measure;
mod run;
mod service;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Empty;
use leaf::Failing;
use mesh_retry::Backoff;
use run::{Outcome, Plan, run};
use service::{Attempts, Passes, Policy};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

pub(crate) type Body = Empty<Bytes>;

/// Retries come at once: the harsher case.
pub(crate) const NO_PAUSE: Backoff = Backoff {
    min: Duration::ZERO,
    max: Duration::ZERO,
};

/// A response that says nothing but its status.
pub(crate) trait Bare {
    fn bare(status: StatusCode) -> Self;
}

impl Bare for Response<Body> {
    fn bare(status: StatusCode) -> Self {
        let mut rsp = Self::new(Body::new());
        *rsp.status_mut() = status;
        rsp
    }
}

/// The window of the law: a budget's `ttl`.
const TTL: Duration = Duration::from_secs(10);

const PLAN: Plan = Plan {
    attempts: Attempts::Budgeted(Passes::BOTH),
    policy: Policy::Layer,
    ttl: TTL,
    evenly: false,
    outage: (1_000, 3_000),
    after: 1.0,
    real_calm: false,
    pauses: false,
};

/// Runs seeds 0 to `seeds`, on all cores.
fn all(seeds: u64, plan: Plan, look: impl Fn(&Outcome) + Sync) {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    look(&run(seed, plan));
                }
            });
        }
    });
}

/// The largest of what runs came to.
#[derive(Default)]
struct Most(Mutex<f64>);

impl Most {
    fn note(&self, value: f64) {
        let mut most = self.0.lock().unwrap();
        *most = most.max(value);
    }

    fn get(&self) -> f64 {
        *self.0.lock().unwrap()
    }
}

/// Returns the number of seeds: few by default, more under `cargo xtask test`.
fn seeds() -> u64 {
    let text = std::env::var("MESH_CHAIN_SEEDS").ok();
    text.map_or(4, |text| {
        text.parse().expect("MESH_CHAIN_SEEDS is a number")
    })
}

#[test]
fn budgets_spare_the_leaf_and_it_recovers() {
    let seeds = seeds();
    law(&format!("{seeds} seeds"), seeds, PLAN);
}

/// The same with nothing left out: a calm that is lived through, pauses, and an outage so long
/// that the budget is earned anew within it.
#[test]
fn budgets_spare_the_leaf_in_a_long_outage() {
    let plan = Plan {
        outage: (12_000, 25_000),
        after: 0.2,
        real_calm: true,
        pauses: true,
        ..PLAN
    };
    law("long outages", seeds().div_ceil(50), plan);
}

/// The law is of every `ttl`, so a short one holds for short windows. Chance alone would make one
/// second's load differ from the next one's by more than what is left up to 1.25.
#[test]
fn budgets_of_a_second_spare_the_leaf_in_every_second() {
    let plan = Plan {
        ttl: Duration::from_secs(1),
        evenly: true,
        ..PLAN
    };
    law("a ttl of a second", seeds().div_ceil(10), plan);
}

#[test]
fn routes_with_one_time_limit_for_all_tries_keep_the_law() {
    let plan = Plan {
        policy: Policy::Route,
        ..PLAN
    };
    law("policy of a route", seeds().div_ceil(4), plan);
}

fn law(title: &str, seeds: u64, plan: Plan) {
    let (load, second, recovery) = (Most::default(), Most::default(), Most::default());
    all(seeds, plan, |run| {
        let (seed, failing) = (run.seed, run.failing);
        let (worst, took) = (run.worst(plan.ttl), run.recovery());
        load.note(worst);
        second.note(run.worst(Duration::from_secs(1)));
        recovery.note(took);
        assert!(
            worst <= 1.25,
            "seed {seed}, {failing:?}: load times {worst}"
        );
        assert!(
            took <= 2.0,
            "seed {seed}, {failing:?}: well after {took} outages"
        );
    });
    println!(
        "{title}: load times {:.3} in any {:?}, {:.2} in any second; well after {:.2} outages",
        load.get(),
        plan.ttl,
        second.get(),
        recovery.get()
    );
}

#[test]
fn three_tries_at_each_hop_bring_it_down_and_keep_it_down() {
    let plan = Plan {
        attempts: Attempts::Naive,
        outage: (1_000, 1_000),
        ..PLAN
    };
    let load = Most::default();
    all(seeds().min(6), plan, |run| {
        let (seed, failing) = (run.seed, run.failing);
        let worst = run.worst(Duration::from_secs(1));
        load.note(worst);
        let took = run.recovery();
        // A request that hangs is tried again only when its time is up.
        let least = if failing == Failing::Hangs { 5.0 } else { 50.0 };
        assert!(
            worst > least,
            "seed {seed}, {failing:?}: load times {worst}"
        );
        // A leaf that refuses connections has no queue.
        if failing != Failing::Refuses {
            assert!(
                took > 2.0,
                "seed {seed}, {failing:?}: well after {took} outages"
            );
        }
        println!(
            "three attempts, {failing:?}: load times {worst:.1} in a second; well after {took:.2} outages"
        );
    });
    assert!(load.get() > 75.0, "load times {}", load.get());
}

#[test]
fn what_services_do_not_pass_on_is_paid_for_by_the_leaf() {
    for (title, passes, expected) in [
        ("both headers", Passes::BOTH, 1.0..1.25),
        (
            "mesh-no-retry alone",
            Passes {
                attempt: false,
                ..Passes::BOTH
            },
            1.0..1.25,
        ),
        (
            "mesh-attempt alone",
            Passes {
                no_retry: false,
                ..Passes::BOTH
            },
            1.25..1.9,
        ),
        ("neither header", Passes::NOTHING, 1.9..2.2),
    ] {
        let plan = Plan {
            attempts: Attempts::Budgeted(passes),
            ..PLAN
        };
        let load = Most::default();
        all(seeds().min(6), plan, |run| load.note(run.worst(TTL)));
        let load = load.get();
        println!("{title} passed on: load times {load:.2} in any {TTL:?}");
        assert!(expected.contains(&load), "{title}: load times {load}");
    }
}
