//! What does a choice cost? A split among three leaves at most 30 ns, a pick among 10 or 1,000
//! endpoints at most 100 ns above the bare service; beside tower's balancer.

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Method, Request};
use mesh_balance::Balance;
use mesh_benches::{NoBody, Noop, request};
use mesh_split::Split;
use std::{future::Future, hint::black_box, net::SocketAddr, time::Duration};
use tower::{
    Service,
    balance::p2c,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwma},
};

/// Sends one request; nothing here ever waits.
fn send<S: Service<Request<NoBody>>>(service: &mut S, req: Request<NoBody>) -> S::Response
where
    S::Error: std::fmt::Debug,
{
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).now_or_never();
    ready.expect("ready at once").expect("ready");
    now(service.call(req)).expect("a response")
}

fn now<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("done at once")
}

fn choice(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _guard = runtime.enter();
    let mut group = c.benchmark_group("choice");
    let req = || request(Method::GET, "/books/1.json");
    let batch = criterion::BatchSize::SmallInput;

    let mut bare = Noop;
    group.bench_function("baseline: bare service", |b| {
        b.iter_batched(req, |req| black_box(send(&mut bare, req)), batch);
    });
    let mut split = Split::new([(Noop, 90), (Noop, 9), (Noop, 1)]).expect("leaves");
    group.bench_function("split among 3", |b| {
        b.iter_batched(req, |req| black_box(send(&mut split, req)), batch);
    });
    for endpoints in [1_u16, 10, 1_000] {
        let mut balance = Balance::new();
        let addrs = (0..endpoints).map(|n| SocketAddr::from(([127, 0, 0, 1], 1 + n)));
        balance.handle().update(addrs, |_| Noop);
        group.bench_function(format!("balance among {endpoints}"), |b| {
            b.iter_batched(req, |req| black_box(send(&mut balance, req)), batch);
        });
    }
    for endpoints in [10, 1_000] {
        let services = (0..endpoints).map(|_| {
            PeakEwma::new(
                Noop,
                Duration::from_millis(30),
                1e10,
                CompleteOnResponse::default(),
            )
        });
        let discover = ServiceList::new::<Request<NoBody>>(services);
        let mut balance: p2c::Balance<_, Request<NoBody>> = p2c::Balance::new(discover);
        group.bench_function(format!("baseline: tower p2c among {endpoints}"), |b| {
            b.iter_batched(req, |req| black_box(send(&mut balance, req)), batch);
        });
    }
    group.finish();
}

criterion_group!(benches, choice);
criterion_main!(benches);
