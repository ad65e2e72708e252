//! A change costs what it touches, whatever the number of open questions.

mod support;

use mesh_control::model::Object;
use support::{Mesh, SERVICES, pod, profile, service};

const QUESTIONS: usize = 100_000;

/// The clients of one service.
const CLIENTS: u64 = (QUESTIONS / 2 / SERVICES) as u64;

/// Counts the answers computed by `change`.
fn computed(mesh: &Mesh, change: impl FnOnce()) -> u64 {
    let before = mesh.index.answers_computed();
    change();
    mesh.index.answers_computed() - before
}

#[test]
fn a_change_computes_only_the_answers_that_depend_on_it() {
    let mut mesh = Mesh::new(QUESTIONS);
    assert_eq!(mesh.index.answers_computed(), QUESTIONS as u64, "each once");
    for subscription in &mut mesh.apexes {
        assert!(subscription.try_next().unwrap().service.is_some());
    }
    for subscription in &mut mesh.endpoints {
        assert_eq!(subscription.try_next().unwrap().list.len(), 1);
    }

    // A pod: the endpoints of its service.
    let count = computed(&mesh, || assert!(mesh.sink.apply(pod(7, 2))));
    assert_eq!(count, CLIENTS);
    let news = mesh.endpoints.iter_mut().filter_map(|it| it.try_next());
    let ports: Vec<_> = news
        .map(|endpoints| endpoints.list[0].addr.port())
        .collect();
    assert_eq!(ports, vec![2; CLIENTS as usize]);

    // A pod of no service: nothing.
    let mut alone = pod(7, 3);
    alone.workload = None;
    alone.name = "alone".into();
    assert_eq!(computed(&mesh, || assert!(mesh.sink.apply(alone))), 0);

    // A profile: the rules of its authority.
    let count = computed(&mesh, || assert!(mesh.sink.apply(profile(7, "a"))));
    assert_eq!(count, CLIENTS);
    let news = mesh.apexes.iter_mut().filter_map(|it| it.try_next());
    assert_eq!(news.count(), CLIENTS as usize);
    assert!(mesh.endpoints.iter_mut().all(|it| it.try_next().is_none()));

    // A profile of one client's namespace: that client's.
    let mut theirs = profile(7, "b");
    theirs.namespace = "team-3".into();
    assert_eq!(computed(&mesh, || assert!(mesh.sink.apply(theirs))), 1);

    // A service: both of its own.
    let gone = Object::from(service(7)).reference();
    let count = computed(&mesh, || assert!(mesh.sink.delete(gone)));
    assert_eq!(count, 2 * CLIENTS);

    // Something that is the same as before: nothing.
    assert_eq!(computed(&mesh, || assert!(!mesh.sink.apply(pod(8, 1)))), 0);

    // A new question: itself, and nothing when it ends.
    let count = computed(&mesh, || {
        drop(mesh.index.subscribe_apex("svc-9.shop:80", "new"))
    });
    assert_eq!(count, 1);
    assert_eq!(mesh.index.open_questions(), QUESTIONS);
}
