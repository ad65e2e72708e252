use super::*;
use crate::{model::Mesh, source::Sink};

fn registration(pod: &str, instance: u64) -> Registration {
    Registration {
        namespace: None,
        workload: "front".into(),
        pod: Some(pod.into()).filter(|pod: &Arc<str>| !pod.is_empty()),
        instance,
        service: Some(RegisteredService {
            port: 80,
            addr: ([127, 0, 0, 1], 4000 + instance as u16).into(),
            protocol: None,
        }),
        conditions: Conditions::READY,
        pid: None,
    }
}

/// A mesh that runs `web` in the namespace `shop`.
fn mesh() -> (Index, Sink) {
    let index = Index::new("cluster.local");
    let sink = index.sink();
    sink.apply(Mesh {
        namespace: "shop".into(),
    });
    declare(&sink, &["web"]);
    (index, sink)
}

fn declare(sink: &Sink, names: &[&str]) {
    let workload = |name: &&str| Workload::new("shop", WorkloadName::deployment(*name)).into();
    let kind = Kind::Workload(WorkloadKind::Deployment);
    sink.reset(kind, names.iter().map(workload));
}

fn pods(index: &Index) -> Vec<String> {
    let pods = &index.snapshot().pods;
    pods.iter().map(|pod| pod.name.to_string()).collect()
}

fn ports(index: &Index) -> Vec<u16> {
    let endpoints = index.endpoints("front:80", "shop").list;
    endpoints.iter().map(|one| one.addr.port()).collect()
}

#[test]
fn a_registered_program_is_a_pod_and_a_service_like_any_other() {
    let (index, _) = mesh();
    let first = index.register(registration("", 1)).unwrap();
    assert_eq!((&*first.namespace, &*first.pod), ("shop", "front-0"));
    let second = index.register(registration("", 2)).unwrap();
    assert_eq!(pods(&index), ["front-0", "front-1"]);
    assert_eq!(ports(&index), [4001, 4002]);

    index.set_conditions(&second, Conditions::default());
    assert_eq!(ports(&index), [4001]);
    index.unregister(&first);
    assert_eq!(pods(&index), ["front-1"]);
    index.unregister(&second);
    assert_eq!(index.snapshot().workloads.len(), 1);
    assert!(!index.endpoints("front:80", "shop").exists);
}

#[test]
fn a_program_that_comes_back_is_known_and_its_old_stream_takes_nothing_away() {
    let (index, _) = mesh();
    let old = index.register(registration("front-0", 1)).unwrap();
    let new = index.register(registration("front-0", 1)).unwrap();
    assert!(!index.lose(&old));
    index.unregister(&old);
    assert_eq!(pods(&index), ["front-0"]);
    assert!(index.lose(&new));
    assert!(!index.lose(&new), "once");
    assert_eq!(pods(&index), ["front-0"], "until somebody has waited");
    index.unregister(&new);
    assert!(pods(&index).is_empty());
}

#[test]
fn a_name_belongs_to_one_process_for_as_long_as_it_lives() {
    let (index, _) = mesh();
    let first = index.register(registration("front-0", 1)).unwrap();
    let refused = index.register(registration("front-0", 2)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "another process is registered as front-0"
    );
    index.lose(&first);
    index.register(registration("front-0", 2)).unwrap();
    assert_eq!(ports(&index), [4002]);
}

#[test]
fn a_pod_has_one_workload() {
    let (index, sink) = mesh();
    index.register(registration("front-0", 1)).unwrap();
    let other = Registration {
        workload: "other".into(),
        ..registration("front-0", 2)
    };
    assert_eq!(index.register(other), Err(Refusal::Taken("front-0".into())));
    sink.apply(Pod::new("shop", "web-0"));
    let web = registration("web-0", 3);
    assert_eq!(index.register(web), Err(Refusal::Taken("web-0".into())));
    sink.apply(Pod::new("shop", "front-1"));
    let free = index.register(registration("", 4)).unwrap();
    assert_eq!(&*free.pod, "front-2");
}

#[test]
fn a_workload_of_the_mesh_cannot_be_registered() {
    let (index, sink) = mesh();
    let mut web = registration("", 1);
    web.workload = "web".into();
    let refused = index.register(web.clone()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "web is a workload or a service that the mesh runs itself"
    );
    web.namespace = Some("other".into());
    assert!(index.register(web).is_ok());

    // One that the mesh runs from now on comes before those registered.
    index.register(registration("", 2)).unwrap();
    declare(&sink, &["front"]);
    assert!(ports(&index).is_empty());
    declare(&sink, &[]);
    assert_eq!(ports(&index), [4002]);
}

#[test]
fn a_service_of_the_mesh_is_not_taken_over() {
    let (index, sink) = mesh();
    let theirs = || {
        let members = vec![WorkloadName::deployment("web")];
        Service::new("shop", "front")
            .with_port(Port::new(80, Target::Name(PORT.into())))
            .with_members(Members::Workloads(members))
    };
    sink.apply(theirs());
    assert_eq!(
        index.register(registration("", 1)),
        Err(Refusal::Declared("front".into()))
    );
    let caller = Registration {
        service: None,
        ..registration("caller", 1)
    };
    let caller = index.register(caller).unwrap();
    index.unregister(&caller);

    // Nor when it comes later.
    sink.reset(Kind::Service, []);
    index.register(registration("", 1)).unwrap();
    assert_eq!(ports(&index), [4001]);
    sink.apply(theirs());
    assert!(index.endpoints("front:80", "shop").exists);
    assert_eq!(ports(&index), [0; 0]);
    assert!(pods(&index).is_empty());
}

#[test]
fn pods_of_a_workload_agree_on_its_port() {
    let (index, _) = mesh();
    index.register(registration("", 1)).unwrap();
    let other = Registration {
        service: None,
        ..registration("", 2)
    };
    let refused = index.register(other).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the workload's other replicas serve port 80"
    );
}

#[test]
fn there_is_a_limit() {
    let (index, _) = mesh();
    let leases: Vec<_> = (0..MAX_REGISTERED as u64)
        .map(|instance| index.register(registration("", instance)).unwrap())
        .collect();
    assert_eq!(index.register(registration("", 999)), Err(Refusal::Full));
    index.unregister(&leases[7]);
    let lease = index.register(registration("", 999)).unwrap();
    assert_eq!(&*lease.pod, "front-7");
}
