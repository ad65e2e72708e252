//! Which route is this request? At most 150 ns at 1,000 template routes, no more than twice that
//! at 10,000, and 2 us with 50 regexes that are not templates; beside a linear scan of regexes
//! and `matchit`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use mesh_profile::{Profile, ProfileSpec, RequestMatchSpec, RouteSpec};
use regex::Regex;
use std::hint::black_box;

/// `/v1/collection-7/{id}/items/{item}.json`, as OpenAPI import writes it.
fn template(n: usize) -> String {
    format!(r"/v1/collection-{n}/[^/]*/items/[^/]*\.json")
}

fn path(n: usize) -> String {
    format!("/v1/collection-{n}/4711/items/42.json")
}

fn profile(patterns: impl Iterator<Item = String>) -> Profile {
    let routes = patterns.enumerate().map(|(n, pattern)| RouteSpec {
        name: format!("route {n}"),
        condition: RequestMatchSpec {
            method: Some("GET".to_owned()),
            path_regex: Some(pattern),
            ..Default::default()
        },
        ..Default::default()
    });
    let spec = ProfileSpec {
        routes: routes.collect(),
        ..Default::default()
    };
    Profile::try_from(spec).expect("the routes are valid")
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("match");
    for routes in [1, 10, 100, 1_000, 10_000] {
        let profile = profile((0..routes).map(template));
        let paths: Vec<_> = (0..64).map(|n| path(n * 7919 % routes)).collect();
        let mut next = paths.iter().cycle();
        group.bench_function(BenchmarkId::new("profile", routes), |b| {
            b.iter(|| {
                black_box(profile.route_for(&Method::GET, black_box(next.next().expect("a cycle"))))
            });
        });
    }

    let hard = (0..50).map(|n| format!(r"/(hard|soft)-{n}/\d+(/.*)?"));
    let mixed = profile(hard.chain((0..1_000).map(template)));
    let paths: Vec<_> = (0..64).map(|n| path(n * 7919 % 1_000)).collect();
    let mut next = paths.iter().cycle();
    group.bench_function("mixed", |b| {
        b.iter(|| {
            black_box(mixed.route_for(&Method::GET, black_box(next.next().expect("a cycle"))))
        });
    });

    let regexes: Vec<_> = (0..1_000)
        .map(|n| Regex::new(&format!("^(?:{})$", template(n))).expect("valid"))
        .collect();
    let mut next = paths.iter().cycle();
    group.bench_function("baseline: linear scan of 1000", |b| {
        b.iter(|| {
            let path = next.next().expect("a cycle");
            black_box(regexes.iter().position(|regex| regex.is_match(path)))
        });
    });

    let mut router = matchit::Router::new();
    for n in 0..1_000 {
        router
            .insert(format!("/v1/collection-{n}/{{id}}/items/{{item}}"), n)
            .expect("no conflict");
    }
    let mut next = paths.iter().cycle();
    group.bench_function("baseline: matchit of 1000", |b| {
        b.iter(|| {
            black_box(
                router
                    .at(next.next().expect("a cycle"))
                    .map(|found| *found.value),
            )
        });
    });
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
