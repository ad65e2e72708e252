//! Cost of a choice: of a leaf by a split, and of an endpoint by a balancer. It is measured alone,
//! with the balancer's own reading of the clock and with one of a layer above, and in a whole
//! exchange whose response updates the balancer. Beside tower's balancer, whose services have a
//! constant load.

use crate::clock::{BATCH, Processor};
use criterion::Criterion;
use http::{Method, Request};
use mesh_balance::Balance;
use mesh_benches::{NoBody, Noop, request, send};
use mesh_core::hot::CallClock;
use mesh_split::Split;
use std::{hint::black_box, net::SocketAddr, time::Duration};
use tower::{
    balance::p2c,
    discover::ServiceList,
    load::{CompleteOnResponse, Constant, PeakEwma},
};

pub(crate) fn choice(c: &mut Criterion<Processor>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _guard = runtime.enter();
    let mut group = c.benchmark_group("choice");
    let req = || request(Method::GET, "/books/1.json");

    let mut bare = Noop;
    group.bench_function("baseline: bare service", |b| {
        b.iter_batched(req, |req| drop(black_box(send(&mut bare, req))), BATCH);
    });
    let mut split = Split::new([(Noop, 90), (Noop, 9), (Noop, 1)]).expect("leaves");
    group.bench_function("split among 3", |b| {
        b.iter_batched(req, |req| drop(black_box(send(&mut split, req))), BATCH);
    });
    for endpoints in [1_u16, 10, 1_000] {
        let mut balance = Balance::new();
        let addrs = (0..endpoints).map(|n| SocketAddr::from(([127, 0, 0, 1], 1 + n)));
        balance.handle().update(addrs, |_| Noop);
        group.bench_function(format!("balance among {endpoints}"), |b| {
            b.iter_batched(req, |req| drop(black_box(send(&mut balance, req))), BATCH);
        });
    }
    for endpoints in [10_u16, 1_000] {
        let mut balance = Balance::new();
        let addrs = (0..endpoints).map(|n| SocketAddr::from(([127, 0, 0, 1], 1 + n)));
        balance.handle().update(addrs, |_| Noop);
        // So that there are latencies to compare.
        for _ in 0..20 * endpoints {
            drop(send(&mut balance, req()));
        }
        group.bench_function(format!("pick among {endpoints}"), |b| {
            b.iter(|| balance.choice());
        });
        group.bench_function(
            format!("pick among {endpoints}, in a stack that read the clock"),
            |b| {
                let _clock = CallClock::begin();
                b.iter(|| balance.choice());
            },
        );
        let services = (0..endpoints).map(|n| Constant::new(Noop, n % 7));
        let discover = ServiceList::new::<Request<NoBody>>(services);
        let mut balance: p2c::Balance<_, Request<NoBody>> = p2c::Balance::new(discover);
        group.bench_function(
            format!("baseline: tower p2c among {endpoints}, constant load"),
            |b| {
                b.iter_batched(req, |req| drop(black_box(send(&mut balance, req))), BATCH);
            },
        );
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
            b.iter_batched(req, |req| drop(black_box(send(&mut balance, req))), BATCH);
        });
    }
    group.finish();
}
