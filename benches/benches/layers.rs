//! What does each layer cost above a service that does nothing? Timeout at most 60 ns, tap with
//! nobody watching at most 2 ns, stats at most 30 ns; beside tower's own where there is one.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Method, Request};
use mesh_benches::{NoBody, Noop, request};
use mesh_profile::{ProfileLayer, Route, stats::Stats};
use mesh_tap::Tap;
use mesh_timeout::TimeoutLayer;
use std::{hint::black_box, time::Duration};
use tower::{Layer, Service};

fn send<S: Service<Request<NoBody>>>(service: &mut S, req: Request<NoBody>) -> S::Response
where
    S::Error: std::fmt::Debug,
{
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).now_or_never();
    ready.expect("ready at once").expect("ready");
    service
        .call(req)
        .now_or_never()
        .expect("done at once")
        .expect("a response")
}

fn layers(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _guard = runtime.enter();
    let mut group = c.benchmark_group("layer");
    let route = Route::new("GET /books.json").with_timeout(Duration::from_secs(10));
    let req = || {
        let mut req = request(Method::GET, "/books.json");
        req.extensions_mut().insert(route.clone());
        req
    };
    macro_rules! bench {
        ($name:literal, $service:expr) => {
            let mut service = $service;
            group.bench_function($name, |b| {
                b.iter_batched(
                    req,
                    |req| black_box(send(&mut service, req)),
                    BatchSize::SmallInput,
                );
            });
        };
    }
    let limit = Duration::from_secs(10);
    bench!("baseline: bare service", Noop);
    bench!("timeout", TimeoutLayer::per_route().layer(Noop));
    bench!(
        "baseline: tower timeout",
        tower::timeout::TimeoutLayer::new(limit).layer(Noop)
    );
    bench!("tap, nobody watching", Tap::new().layer().layer(Noop));
    bench!("stats, effective", Stats::new().effective().layer(Noop));
    bench!("stats, actual", Stats::new().actual().layer(Noop));
    bench!(
        "profile, no routes",
        ProfileLayer::new(Default::default()).layer(Noop)
    );
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
