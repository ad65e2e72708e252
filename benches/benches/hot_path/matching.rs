//! Time of matching a request's route, beside a linear scan of regexes and beside `matchit`.

use crate::clock::Processor;
use criterion::{BenchmarkId, Criterion};
use http::Method;
use mesh_benches::profiles::{hard, hard_path, path, profile, template};
use regex::Regex;
use std::hint::black_box;

/// Sixty-four of `routes`, spread over all of them.
fn some(routes: usize) -> impl Iterator<Item = usize> {
    (0..64).map(move |n| n * 7919 % routes)
}

fn linear(patterns: impl Iterator<Item = String>) -> Vec<Regex> {
    patterns
        .map(|pattern| Regex::new(&format!("^(?:{pattern})$")).expect("valid"))
        .collect()
}

pub(crate) fn matching(c: &mut Criterion<Processor>) {
    let mut group = c.benchmark_group("match");
    macro_rules! bench {
        ($id:expr, $paths:expr, |$path:ident| $find:expr) => {
            let paths: Vec<String> = $paths;
            let mut paths = paths.iter().cycle();
            group.bench_function($id, |b| {
                b.iter(|| {
                    let $path = black_box(paths.next().expect("a cycle").as_str());
                    black_box($find)
                });
            });
        };
    }

    for routes in [1, 10, 100, 1_000, 10_000] {
        let profile = profile((0..routes).map(template), false);
        let id = BenchmarkId::new("five segments, routes", routes);
        bench!(id, some(routes).map(path).collect(), |path| profile
            .route_for(&Method::GET, path));
    }
    let short = profile((0..1_000).map(|n| format!("/collection-{n}/[^/]*")), false);
    let paths = some(1_000).map(|n| format!("/collection-{n}/4711"));
    bench!("two segments of 1000", paths.collect(), |path| short
        .route_for(&Method::GET, path));
    let none = profile((0..1_000).map(template), false);
    let paths = some(1_000).map(|n| format!("/v2/collection-{n}"));
    bench!("no route of 1000", paths.collect(), |path| none
        .route_for(&Method::GET, path));

    let all = || (0..50).map(hard).chain((0..1_000).map(template));
    let mixed = profile(all(), false);
    let paths = || some(1_000).map(path).collect();
    let hard_paths = || some(50).map(hard_path).collect();
    bench!("mixed, a template", paths(), |path| mixed
        .route_for(&Method::GET, path));
    bench!("mixed, a regex", hard_paths(), |path| mixed
        .route_for(&Method::GET, path));

    let regexes = linear((0..1_000).map(template));
    bench!("baseline: linear scan of 1000", paths(), |path| regexes
        .iter()
        .position(|regex| regex.is_match(path)));
    let regexes = linear(all());
    bench!(
        "baseline: linear scan, mixed, a template",
        paths(),
        |path| regexes.iter().position(|regex| regex.is_match(path))
    );

    let mut router = matchit::Router::new();
    for n in 0..1_000 {
        let route = format!("/v1/collection-{n}/{{id}}/items/{{item}}");
        router.insert(route, n).expect("no conflict");
    }
    bench!("baseline: matchit of 1000", paths(), |path| router
        .at(path)
        .map(|found| *found.value));
    group.finish();
}
