//! Time of converting an OpenAPI document to a profile, with places of all keys and diagnostics,
//! beside a full parse by `openapiv3` and beside the bare events of the YAML parser.

#[allow(dead_code, reason = "the other benches use the rest")]
#[path = "hot_path/clock.rs"]
mod clock;

use self::clock::{Processor, processor};
use criterion::{Criterion, criterion_group, criterion_main};
use granit_parser::Parser;
use mesh_benches::documents;
use mesh_profile::openapi::{Options, import};
use mesh_yaml as yaml;
use std::{hint::black_box, time::Duration};

fn openapi(c: &mut Criterion<Processor>) {
    let mut group = c.benchmark_group("openapi");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500));
    for document in documents::real() {
        let (name, json) = (document.name, document.json.as_str());
        let size = json.len() as f64 / 1e6;
        println!("{name}: {size:.1} MB of JSON");
        group.bench_function(format!("{name}, JSON"), |b| {
            b.iter(|| import(black_box(json), "bench.json", &Options::default()).is_ok());
        });
        // Swagger 2.0 is not for `openapiv3`: of that, any parse into a tree is the baseline.
        if serde_json::from_str::<openapiv3::OpenAPI>(json).is_ok() {
            group.bench_function(format!("baseline: openapiv3, {name}, JSON"), |b| {
                b.iter(|| serde_json::from_str::<openapiv3::OpenAPI>(black_box(json)).is_ok());
            });
        } else {
            group.bench_function(format!("baseline: serde_json tree, {name}, JSON"), |b| {
                b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(json)).is_ok());
            });
        }

        let tree: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let yaml = yaml::to_string(&tree).expect("a tree is YAML");
        let size = yaml.len() as f64 / 1e6;
        println!("{name}: {size:.1} MB of YAML");
        group.bench_function(format!("{name}, YAML"), |b| {
            b.iter(|| import(black_box(&yaml), "bench.yaml", &Options::default()).is_ok());
        });
        group.bench_function(format!("baseline: bare events, {name}, YAML"), |b| {
            b.iter(|| {
                let events = Parser::new_from_str(black_box(&yaml));
                events
                    .map(|event| event.map(black_box).is_ok())
                    .filter(|ok| *ok)
                    .count()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = processor();
    targets = openapi
}
criterion_main!(benches);
