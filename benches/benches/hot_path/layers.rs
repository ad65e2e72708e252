//! What does each layer cost above a service that does nothing? Beside tower's own, where there
//! is one.

use crate::{
    clock::{BATCH, Processor},
    policy::tower_retry,
};
use criterion::Criterion;
use http::Method;
use mesh_benches::{Noop, request, send};
use mesh_profile::{ProfileLayer, Route, stats::Stats};
use mesh_retry::{Budget, RetryLayer};
use mesh_tap::Tap;
use mesh_timeout::TimeoutLayer;
use std::{hint::black_box, time::Duration};
use tower::Layer;

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
    bench!(
        "tap, nobody watching",
        &plain,
        Tap::new().layer().layer(Noop)
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
