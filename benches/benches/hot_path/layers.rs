//! Cost of each layer above a no-op service, beside tower's own layer where there is one.

use crate::{
    clock::{BATCH, Processor, spent},
    policy::tower_retry,
};
use criterion::Criterion;
use http::{Method, Request};
use mesh_benches::{NoBody, Noop, Opaque, request, send};
use mesh_fault::{Faults, Injection};
use mesh_profile::{ProfileLayer, Route};
use mesh_retry::{Budget, RetryLayer};
use mesh_stats::Stats;
use mesh_tap::Tap;
use mesh_timeout::TimeoutLayer;
use std::{fmt, hint::black_box, time::Duration};
use tower::{Layer, Service};

/// Returns the extra cost of `n` requests with one service over the other. The two alternate, so
/// that changes of the processor's speed affect both.
fn above<S, T>(
    layered: &mut S,
    bare: &mut T,
    n: u64,
    request: impl Fn() -> Request<NoBody>,
) -> Duration
where
    S: Service<Request<NoBody>, Error: fmt::Debug>,
    T: Service<Request<NoBody>, Error: fmt::Debug>,
{
    const TURN: u64 = 100;

    fn turn<S>(service: &mut S, requests: Vec<Request<NoBody>>) -> Duration
    where
        S: Service<Request<NoBody>, Error: fmt::Debug>,
    {
        let before = spent();
        for req in requests {
            drop(black_box(send(service, req)));
        }
        spent() - before
    }

    let requests = || (0..TURN).map(|_| request()).collect::<Vec<_>>();
    let turns = n.div_ceil(TURN);
    let (mut with, mut without) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..turns {
        with += turn(layered, requests());
        without += turn(bare, requests());
    }
    // Criterion knows nothing that takes no time, or less.
    let above = with.saturating_sub(without).max(Duration::from_nanos(1));
    above.mul_f64(n as f64 / (turns * TURN) as f64)
}

pub(crate) fn layers(c: &mut Criterion<Processor>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _guard = runtime.enter();
    let mut group = c.benchmark_group("layer");

    let limit = Duration::from_secs(10);
    let plain = Route::new("GET /books.json").with_timeout(limit);
    let retryable = plain.clone().with_retries();
    let routed = |route: &Route| {
        let mut req = request(Method::GET, "/books.json");
        req.extensions_mut().insert(route.clone());
        req
    };
    macro_rules! bench {
        ($name:literal, $route:expr, $service:expr) => {
            let mut service = $service;
            group.bench_function($name, |b| {
                b.iter_batched(
                    || routed($route),
                    |req| drop(black_box(send(&mut service, req))),
                    BATCH,
                );
            });
        };
    }
    bench!("baseline: bare service", &plain, Noop);
    bench!("timeout", &plain, TimeoutLayer::per_route().layer(Noop));
    bench!(
        "baseline: tower timeout",
        &plain,
        tower::timeout::TimeoutLayer::new(limit).layer(Noop)
    );
    // A load and a branch are lost beside a service of which the compiler leaves nothing.
    bench!("baseline: opaque service", &plain, Opaque);
    bench!(
        "tap on the opaque service, nobody watching",
        &plain,
        Tap::new().layer().layer(Opaque)
    );
    group.bench_function("tap above the opaque service, in turns", |b| {
        let mut tapped = Tap::new().layer().layer(Opaque);
        b.iter_custom(|n| above(&mut tapped, &mut Opaque, n, || routed(&plain)));
    });
    bench!(
        "fault on the opaque service, nothing injected",
        &plain,
        Faults::new().layer().layer(Opaque)
    );
    let faults = Faults::new();
    let elsewhere = Injection::reset().with_route("GET /authors.json");
    faults.add(elsewhere).expect("room for an injection");
    bench!(
        "fault on the opaque service, of another route",
        &plain,
        faults.layer().layer(Opaque)
    );
    bench!(
        "stats, effective",
        &plain,
        Stats::new().effective().layer(Noop)
    );
    bench!("stats, actual", &plain, Stats::new().actual().layer(Noop));
    bench!(
        "profile, no routes",
        &plain,
        ProfileLayer::new(Default::default()).layer(Noop)
    );

    let retry = || RetryLayer::per_route(Budget::default()).layer(Noop);
    bench!("retry, not retryable", &plain, retry());
    bench!(
        "baseline: tower retry, not retryable",
        &plain,
        tower_retry(false).layer(Noop)
    );
    bench!("retry, retryable", &retryable, retry());
    bench!(
        "baseline: tower retry, retryable",
        &retryable,
        tower_retry(true).layer(Noop)
    );
    group.bench_function("baseline: clone of a retryable request's head", |b| {
        b.iter_batched_ref(
            || routed(&retryable),
            |req| drop(black_box(req.clone())),
            BATCH,
        );
    });
    group.finish();
}
