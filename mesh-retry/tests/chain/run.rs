//! One run: a seed becomes a chain, its load and what came of both.

use crate::{
    Body,
    leaf::{Failing, Leaf, Serving},
    service::{Attempts, Client, Passes, Policy, Server},
};
use fastrand::Rng;
use http::Request;
use mesh_retry::{Budget, RetryBudget};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::Service;

/// Requests a second that come to A.
pub(crate) const OFFERED: f64 = 1_000.0;

/// The calm before the outage, in which budgets save all that they can: the default `ttl`.
pub(crate) const CALM: Duration = Duration::from_secs(10);

/// Longest wait for the last requests.
const TAIL: Duration = Duration::from_millis(400);

/// Settings that all seeds of a test share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) attempts: Attempts,
    pub(crate) policy: Policy,
    /// The `ttl` of the budgets, which are the default in all else.
    pub(crate) ttl: Duration,
    /// Requests come at equal intervals if true, else as a Poisson process.
    pub(crate) evenly: bool,
    /// Shortest and longest outage in milliseconds.
    pub(crate) outage: (u64, u64),
    /// Duration of the run after the outage, in outages.
    pub(crate) after: f64,
    /// Requests before the outage are sent if true, else only counted in the budgets.
    pub(crate) real_calm: bool,
    /// Second retries wait for the default pause. Its jitter has no seed.
    pub(crate) pauses: bool,
}

/// Result of one run. Instants are counted from its beginning.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) failing: Failing,
    pub(crate) outage: std::ops::Range<Duration>,
    pub(crate) ends: Duration,
    /// When each request came to A, and whether it was answered well.
    pub(crate) offered: Vec<(Duration, bool)>,
    /// When each request came to the leaf.
    pub(crate) leaf: Vec<Duration>,
}

/// Runs `seed` on a clock of its own.
pub(crate) fn run(seed: u64, plan: Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(simulate(seed, plan)))
}

async fn simulate(seed: u64, plan: Plan) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let start = Instant::now();
    let began = start + CALM;
    let lasts = Duration::from_millis(rng.u64(plan.outage.0..=plan.outage.1));
    let outage = began..began + lasts;
    let ends = outage.end + lasts.mul_f64(plan.after);
    let failing = [Failing::Answers, Failing::Refuses, Failing::Hangs][rng.usize(..3)];
    let leaf = Serving::new(Leaf {
        capacity: OFFERED * (1.5 + 1.5 * rng.f64()),
        latency: Duration::from_millis(rng.u64(1..=10)),
        outage: outage.clone(),
        failing,
    });
    let arrivals = leaf.arrivals.clone();

    let limits = RetryBudget::default();
    let limits = RetryBudget::new(limits.ratio(), limits.min_per_second(), plan.ttl).unwrap();
    let budgets: [Budget; 4] = std::array::from_fn(|_| Budget::new(limits));
    let gap = |rng: &mut Rng| {
        let chance = if plan.evenly {
            1.0
        } else {
            -(1.0 - rng.f64()).ln()
        };
        Duration::from_secs_f64(chance / OFFERED)
    };
    let mut at = start;
    let mut offered = Vec::new();
    if !plan.real_calm {
        while at < began {
            at += gap(&mut rng);
            for budget in &budgets {
                budget.deposit(at.into_std());
            }
            offered.push((at - start, true));
            arrivals.borrow_mut().push(at);
        }
        tokio::time::advance(at - start).await;
    }

    let passes = match plan.attempts {
        Attempts::Budgeted(passes) => passes,
        Attempts::Naive => Passes::NOTHING,
    };
    // Each attempt has the time for three of those below it.
    let client = |hop: usize, each| (&budgets[hop], Duration::from_millis(each));
    macro_rules! hop {
        ($hop:expr, $each:expr, $next:expr) => {{
            let (budget, each) = client($hop, $each);
            let client = Client::new(&plan, budget, each, $next);
            Server { client, passes }
        }};
    }
    let d = hop!(3, 60, leaf);
    let c = hop!(2, 300, d);
    let b = hop!(1, 1_000, c);
    let mut a = hop!(0, 3_200, b);

    let offered = Rc::new(RefCell::new(offered));
    let mut under_way = JoinSet::new();
    while at < ends {
        at += gap(&mut rng);
        sleep_until(at).await;
        let call = a.call(Request::new(Body::new()));
        let nth = offered.borrow().len();
        offered.borrow_mut().push((at - start, false));
        let offered = offered.clone();
        under_way.spawn_local(async move {
            let rsp = call.await.expect("a service answers whatever happens");
            offered.borrow_mut()[nth].1 = rsp.status().is_success();
        });
    }
    // Time for those that came last; what is not answered then was not answered well.
    sleep_until(ends + TAIL).await;
    under_way.shutdown().await;
    let offered = offered.take();
    let leaf = arrivals.take().into_iter().map(|at| at - start).collect();
    Outcome {
        seed,
        failing,
        outage: outage.start - start..outage.end - start,
        ends: ends - start,
        offered,
        leaf,
    }
}
