//! The time that a change takes with 1,000, 10,000 and 100,000 open questions.
//!
//! The service that changes, and that a new client follows, has the same ten other clients each
//! time; the rest of the mesh grows.

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use mesh_control::index::{Apex, Endpoints, Subscription};
use support::{Mesh, pod, profile, service};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// The number of the service that changes, which no client of [`Mesh::new`] asks for.
const CHANGED: usize = 1_000_000;

fn clients(mesh: &Mesh) -> Vec<(Subscription<Apex>, Subscription<Endpoints>)> {
    mesh.sink.apply(service(CHANGED));
    mesh.sink.apply(pod(CHANGED, 1));
    let authority = format!("svc-{CHANGED}.shop:80");
    let client = |client| {
        let namespace = format!("client-{client}");
        let apex = mesh.index.subscribe_apex(&authority, &namespace);
        (apex, mesh.index.subscribe_endpoints(&authority, &namespace))
    };
    (0..10).map(client).collect()
}

fn change(criterion: &mut Criterion) {
    for size in SIZES {
        let mesh = Mesh::new(size);
        assert_eq!(mesh.apexes.len() + mesh.endpoints.len(), size);
        let _clients = clients(&mesh);
        let mut number = 1;
        criterion.bench_function(&format!("pod/{size}"), |bencher| {
            bencher.iter(|| {
                number = number % 60_000 + 1;
                assert!(mesh.sink.apply(pod(CHANGED, number)));
            });
        });
        criterion.bench_function(&format!("profile/{size}"), |bencher| {
            bencher.iter(|| {
                number = number % 60_000 + 1;
                assert!(mesh.sink.apply(profile(CHANGED, &number.to_string())));
            });
        });
        let authority = format!("svc-{CHANGED}.shop:80");
        criterion.bench_function(&format!("subscribe and end/{size}"), |bencher| {
            bencher.iter(|| mesh.index.subscribe_endpoints(&authority, "new"));
        });
    }
}

criterion_group!(benches, change);
criterion_main!(benches);
