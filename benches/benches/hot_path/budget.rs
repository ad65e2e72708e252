//! Cost of a deposit into and a withdrawal from a retry budget, beside tower's budget.

use crate::clock::{Processor, spent};
use criterion::Criterion;
use mesh_retry::{Budget, RetryBudget};
use std::{
    hint::black_box,
    sync::{
        Barrier, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tower::retry::budget::{Budget as _, TpsBudget};

const THREADS: u32 = 8;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A second, as no budget is made for tens of millions of requests a second, and these must fit.
const TTL: Duration = Duration::from_secs(1);

/// Half of the requests may be retried: withdrawals are granted and refused in turn.
fn ours() -> Budget {
    Budget::new(RetryBudget::new(0.5, 10, TTL).expect("a valid budget"))
}

fn towers() -> TpsBudget {
    TpsBudget::new(TTL, 10, 0.5)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a budget is given the time, and a benchmark takes it"
)]
fn now() -> Instant {
    Instant::now()
}

/// The time as a thread of its own reads it every millisecond: what a budget costs apart from the
/// clock, which a retry layer reads anyway.
fn coarse() -> Instant {
    static BEGAN: LazyLock<Instant> = LazyLock::new(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(1));
                MILLIS.store(BEGAN.elapsed().as_millis() as u64, Relaxed);
            }
        });
        now()
    });
    static MILLIS: AtomicU64 = AtomicU64::new(0);
    *BEGAN + Duration::from_millis(MILLIS.load(Relaxed))
}

/// The processor time of `n` calls by each of [`THREADS`] at once, divided by all calls.
fn crowd(n: u64, call: impl Fn() + Sync) -> Duration {
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        let work = || {
            start.wait();
            let before = spent();
            (0..n).for_each(|_| call());
            spent() - before
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let spent: Duration = (threads.into_iter())
            .map(|thread| thread.join().expect("it does not panic"))
            .sum();
        spent / THREADS
    })
}

pub(crate) fn budget(c: &mut Criterion<Processor>) {
    let mut group = c.benchmark_group("budget");

    let budget = ours();
    group.bench_function("1 thread", |b| {
        b.iter(|| {
            let now = coarse();
            budget.deposit(now);
            budget.withdraw(now)
        });
    });
    group.bench_function("1 thread, clock included", |b| {
        b.iter(|| {
            let now = now();
            budget.deposit(now);
            budget.withdraw(now)
        });
    });
    let tower = towers();
    group.bench_function("baseline: tower, 1 thread", |b| {
        b.iter(|| {
            tower.deposit();
            tower.withdraw()
        });
    });

    let budget = ours();
    group.bench_function(format!("{THREADS} threads"), |b| {
        b.iter_custom(|n| {
            crowd(n, || {
                let now = coarse();
                budget.deposit(now);
                black_box(budget.withdraw(now));
            })
        });
    });
    let tower = towers();
    group.bench_function(format!("baseline: tower, {THREADS} threads"), |b| {
        b.iter_custom(|n| {
            crowd(n, || {
                tower.deposit();
                black_box(tower.withdraw());
            })
        });
    });

    group.bench_function("after 10 idle years", |b| {
        b.iter_custom(|n| {
            let all: Duration = (0..n.div_ceil(LEAPS)).map(|_| idle()).sum();
            all.mul_f64(n as f64 / n.next_multiple_of(LEAPS) as f64)
        });
    });
    group.sample_size(10);
    group.bench_function("baseline: tower, after an idle year", |b| {
        b.iter_custom(|n| (0..n).map(|_| tower_idle()).sum());
    });
    group.finish();
}

/// Number of leaps by ten years; a budget may live for 584.
const LEAPS: u64 = 50;

/// All calls of a budget that is asked once in ten years.
fn idle() -> Duration {
    let (budget, at) = (ours(), now());
    (0..1_000).for_each(|_| budget.deposit(at));
    let before = spent();
    for leap in 1..=LEAPS as u32 {
        let now = at + leap * 10 * YEAR;
        budget.deposit(now);
        black_box(budget.withdraw(now));
    }
    spent() - before
}

/// On a clock that is put forward by a year. It takes ten times as long after ten.
fn tower_idle() -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let budget = TpsBudget::default();
        budget.deposit();
        tokio::time::advance(YEAR).await;
        let before = spent();
        budget.deposit();
        black_box(budget.withdraw());
        spent() - before
    })
}
