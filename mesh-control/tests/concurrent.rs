//! Changes from several threads: the last answer is the right one, whichever thread computed it.

mod support;

use mesh_control::model::Object;
use std::thread;
use support::{Mesh, pod, profile, service};

const SERVICES: usize = 8;
const ROUNDS: u16 = 300;

#[test]
fn answers_are_right_when_changes_and_subscriptions_overlap() {
    // Each of the first services has one client.
    let mesh = Mesh::new(2 * SERVICES);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let mesh = &mesh;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let number = usize::from(round * seed) % SERVICES;
                    mesh.sink.apply(pod(number, round * seed + 1));
                    mesh.sink.apply(profile(number, &round.to_string()));
                    match round % 3 {
                        0 => mesh.sink.apply(service(number)),
                        1 => mesh.sink.delete(Object::from(service(number)).reference()),
                        _ => mesh.sink.delete(Object::from(pod(number, 1)).reference()),
                    };
                    let authority = format!("svc-{number}.shop:80");
                    let late = mesh.index.subscribe_endpoints(&authority, "late");
                    drop(late.current());
                }
            });
        }
    });
    for number in 0..SERVICES {
        let authority = format!("svc-{number}.shop:80");
        let endpoints = mesh.index.endpoints(&authority, "team-0");
        assert_eq!(*mesh.endpoints[number].current(), endpoints, "{authority}");
        let apex = mesh.index.apex(&authority, "team-0");
        assert_eq!(*mesh.apexes[number].current(), apex, "{authority}");
    }
    assert_eq!(mesh.index.open_questions(), 2 * SERVICES);
}
