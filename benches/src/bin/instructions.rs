//! The program that `cargo xtask instructions` runs under callgrind: one scenario by its name or,
//! without a name, the list of scenarios with their repetitions.

use http::{Method, Request};
use mesh_balance::{Balance, Config};
use mesh_benches::{
    NoBody, Noop, Opaque, documents,
    profiles::{self, profile},
    request, send,
    stack::Destination,
    wire::{Protocol, Wire},
};
use mesh_profile::{
    Route,
    openapi::{Options, import},
};
use mesh_retry::{Budget, RetryLayer};
use mesh_split::Split;
use mesh_stats::Stats;
use mesh_tap::Tap;
use mesh_timeout::TimeoutLayer;
use std::{
    env, fmt,
    hint::black_box,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};
use tower_layer::Layer;
use tower_service::Service;

type Scenario = (&'static str, usize, fn(usize));

const SCENARIOS: &[Scenario] = &[
    ("match-1000-templates", 1_000, |n| {
        matching(n, (0..1_000).map(profiles::template), profiles::path);
    }),
    ("match-no-route", 1_000, |n| {
        let templates = (0..1_000).map(profiles::template);
        matching(n, templates, |n| format!("/v2/collection-{n}"));
    }),
    ("match-50-regexes", 1_000, |n| {
        let patterns = (0..50).map(profiles::hard);
        matching(n, patterns, |n| profiles::hard_path(n % 50));
    }),
    ("budget-deposit-withdraw", 10_000, budget),
    ("bare-service", 1_000, |n| layered(n, Noop, plain())),
    ("opaque-service", 1_000, |n| layered(n, Opaque, plain())),
    ("timeout", 1_000, |n| {
        layered(n, TimeoutLayer::per_route().layer(Noop), plain());
    }),
    ("retry-not-retryable", 1_000, |n| {
        layered(n, retry(), plain())
    }),
    ("retry-retryable", 1_000, |n| {
        layered(n, retry(), plain().with_retries());
    }),
    ("stats-effective", 1_000, |n| {
        layered(n, Stats::new().effective().layer(Noop), plain());
    }),
    ("split-of-3-balances", 1_000, |n| {
        layered(n, choice(), plain())
    }),
    ("balance-pick-of-10", 1_000, pick),
    ("tap-idle", 1_000, |n| {
        layered(n, Tap::new().layer().layer(Opaque), plain());
    }),
    ("stack-not-retryable", 1_000, |n| stack(n, false)),
    ("stack-retryable", 1_000, |n| stack(n, true)),
    ("proxy-http1", 1_000, |n| proxied(n, Protocol::Http1)),
    ("proxy-h2c", 1_000, |n| proxied(n, Protocol::H2c)),
    ("proxy-grpc", 1_000, |n| proxied(n, Protocol::Grpc)),
    ("openapi-json", 10, |n| {
        let json = documents::made(50).json;
        measured(&mut || (0..n).for_each(|_| openapi(&json)));
    }),
    ("openapi-yaml", 3, |n| {
        let tree: serde_json::Value = documents::made(50).json.parse().expect("JSON");
        let yaml = mesh_yaml::to_string(&tree).expect("a tree is YAML");
        measured(&mut || (0..n).for_each(|_| openapi(&yaml)));
    }),
];

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        for (name, times, _) in SCENARIOS {
            println!("{name} {times}");
        }
        return ExitCode::SUCCESS;
    };
    let Some((_, times, run)) = SCENARIOS.iter().find(|scenario| scenario.0 == name) else {
        eprintln!("error: there is no scenario {name:?}");
        return ExitCode::from(2);
    };
    run(*times);
    ExitCode::SUCCESS
}

/// The function whose instructions callgrind counts.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // Not the last thing this does, so that it is a call that returns here.
    black_box(());
}

fn matching(times: usize, patterns: impl Iterator<Item = String>, path: fn(usize) -> String) {
    let profile = profile(patterns, false);
    let paths: Vec<_> = (0..times).map(|n| path(n * 7919 % 1_000)).collect();
    let find = |path: &String| {
        black_box(profile.route_for(&Method::GET, path));
    };
    paths.iter().for_each(find);
    measured(&mut || paths.iter().for_each(find));
}

/// At a hundred thousand requests a second.
fn budget(times: usize) {
    let budget = Budget::default();
    #[allow(
        clippy::disallowed_methods,
        reason = "a beginning is needed, of whatever value"
    )]
    let mut now = Instant::now();
    let mut run = || {
        for _ in 0..times {
            now += Duration::from_micros(10);
            budget.deposit(now);
            black_box(budget.withdraw(now));
        }
    };
    run();
    measured(&mut run);
}

fn plain() -> Route {
    Route::new("GET /books.json").with_timeout(Duration::from_secs(10))
}

fn retry() -> impl Service<Request<NoBody>, Error: fmt::Debug> {
    RetryLayer::per_route(Budget::default()).layer(Noop)
}

fn balance(n: u8) -> Balance<Noop> {
    let balance = Balance::with(Config::default().with_seed(n.into()));
    let addrs = (1..=10).map(|port| SocketAddr::from(([127, 0, 0, n], port)));
    balance.handle().update(addrs, |_| Noop);
    balance
}

/// Without the exchange; the clock is read each time.
fn pick(times: usize) {
    let mut balance = balance(1);
    for _ in 0..200 {
        drop(send(&mut balance, request(Method::GET, "/books.json")));
    }
    measured(&mut || {
        for _ in 0..times {
            black_box(balance.choice());
        }
    });
}

fn choice() -> impl Service<Request<NoBody>, Error: fmt::Debug> {
    Split::new([(balance(1), 90), (balance(2), 9), (balance(3), 1)]).expect("leaves with weights")
}

fn layered<S>(times: usize, service: S, route: Route)
where
    S: Service<Request<NoBody>, Error: fmt::Debug>,
{
    let mut req = request(Method::GET, "/books.json");
    req.extensions_mut().insert(route);
    requests(times, service, &req);
}

fn stack(times: usize, is_retryable: bool) {
    let req = request(Method::GET, &Destination::path());
    requests(times, Destination::new(is_retryable).client(), &req);
}

/// Requests that were made before, through `service`.
fn requests<S>(times: usize, mut service: S, req: &Request<NoBody>)
where
    S: Service<Request<NoBody>, Error: fmt::Debug>,
{
    let mut run = |all: Vec<_>| {
        for req in all {
            drop(black_box(send(&mut service, req)));
        }
    };
    run(vec![req.clone(); times]);
    let mut all = vec![req.clone(); times];
    measured(&mut || run(std::mem::take(&mut all)));
}

/// From the bytes of a client to those of an endpoint, and back.
fn proxied(times: usize, protocol: Protocol) {
    let mut wire = Wire::new(protocol);
    measured(&mut || wire.exchange(times));
}

fn openapi(text: &str) {
    let import = import(black_box(text), "made", &Options::default());
    black_box(import.is_ok());
}
