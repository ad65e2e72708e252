//! Cost of a client's whole stack above the called service, beside tower's smaller stack, and on
//! two threads at once.

use crate::{
    clock::{BATCH, Processor, spent},
    policy::tower_retry,
};
use criterion::Criterion;
use http::{Method, Request};
use mesh_benches::{NoBody, Noop, request, send, stack::Destination};
use std::{hint::black_box, sync::Barrier, thread, time::Duration};
use tower::ServiceBuilder;

fn timed() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

fn ours() -> Request<NoBody> {
    request(Method::GET, &Destination::path())
}

pub(crate) fn stack(c: &mut Criterion<Processor>) {
    let runtime = timed();
    let _guard = runtime.enter();
    let mut group = c.benchmark_group("stack");
    macro_rules! bench {
        ($name:expr, $service:expr) => {
            let mut service = $service;
            group.bench_function($name, |b| {
                b.iter_batched(ours, |req| drop(black_box(send(&mut service, req))), BATCH);
            });
        };
    }
    bench!("baseline: bare service", Noop);
    for (name, is_retryable) in [("not retryable", false), ("retryable", true)] {
        bench!(name, Destination::new(is_retryable).client());

        bench!(
            format!("baseline: tower, {name}"),
            ServiceBuilder::new()
                .load_shed()
                .concurrency_limit(1_000)
                .timeout(Duration::from_secs(10))
                .layer(tower_retry(is_retryable))
                .service(Noop)
        );
    }
    for (name, is_retryable) in [("not retryable", false), ("retryable", true)] {
        for threads in [1, 2] {
            group.bench_function(format!("{name}, {threads} workers"), |b| {
                let destination = Destination::new(is_retryable);
                b.iter_custom(|n| workers(threads, &destination, n));
            });
        }
    }
    group.finish();
}

/// The processor time of `n` requests by each of some workers, divided by all requests. It
/// includes making the requests.
fn workers(threads: u32, destination: &Destination, n: u64) -> Duration {
    let start = Barrier::new(threads as usize);
    thread::scope(|scope| {
        let worker = || {
            let runtime = timed();
            let _guard = runtime.enter();
            let (mut client, req) = (destination.client(), ours());
            (0..1_000).for_each(|_| drop(send(&mut client, req.clone())));
            start.wait();
            let before = spent();
            for _ in 0..n {
                drop(black_box(send(&mut client, black_box(req.clone()))));
            }
            spent() - before
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let spent: Duration = (workers.into_iter())
            .map(|worker| worker.join().expect("it does not panic"))
            .sum();
        spent / threads
    })
}
