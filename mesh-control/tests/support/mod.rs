//! A mesh of 2,000 services with a pod each, and clients that follow them.

use mesh_control::{
    index::{Apex, Endpoints, Index, Subscription},
    model::{
        Conditions, Members, Metadata, Pod, PodPort, Port, Service, ServiceProfile, Target,
        WorkloadName,
    },
    source::Sink,
};
use mesh_profile::{ProfileSpec, RequestMatchSpec, RouteSpec};
use std::sync::Arc;

pub(crate) const SERVICES: usize = 2_000;

/// A mesh and its followers: two questions for each client.
pub(crate) struct Mesh {
    pub(crate) index: Index,
    pub(crate) sink: Sink,
    pub(crate) apexes: Vec<Subscription<Apex>>,
    pub(crate) endpoints: Vec<Subscription<Endpoints>>,
}

impl Mesh {
    /// Clients of each namespace in turn ask each service in turn, until there are as many open
    /// `questions`.
    pub(crate) fn new(questions: usize) -> Self {
        let index = Index::new("cluster.local");
        let sink = index.sink();
        for number in 0..SERVICES {
            sink.apply(service(number));
            sink.apply(pod(number, 1));
        }
        sink.ready();
        let (mut apexes, mut endpoints) = (Vec::new(), Vec::new());
        for client in 0..questions / 2 {
            let authority = format!("svc-{}.shop:80", client % SERVICES);
            let namespace = format!("team-{}", client / SERVICES);
            apexes.push(index.subscribe_apex(&authority, &namespace));
            endpoints.push(index.subscribe_endpoints(&authority, &namespace));
        }
        assert_eq!(index.open_questions(), questions);
        Self {
            index,
            sink,
            apexes,
            endpoints,
        }
    }
}

pub(crate) fn service(number: usize) -> Service {
    let workload = WorkloadName::deployment(format!("svc-{number}"));
    Service::new("shop", format!("svc-{number}"))
        .with_port(Port::new(80, Target::Name("http".into())))
        .with_members(Members::Workloads(vec![workload]))
}

/// The only pod of a service, on a port of its own.
pub(crate) fn pod(number: usize, port: u16) -> Pod {
    Pod {
        workload: Some(WorkloadName::deployment(format!("svc-{number}"))),
        address: Some([10, 0, (number >> 8) as u8, number as u8].into()),
        ports: vec![PodPort {
            name: "http".into(),
            number: port,
            protocol: None,
        }],
        conditions: Conditions::READY,
        ..Pod::new("shop", format!("svc-{number}-0"))
    }
}

/// A profile of a service, declared in its namespace.
pub(crate) fn profile(number: usize, route: &str) -> ServiceProfile {
    let spec = ProfileSpec {
        routes: vec![RouteSpec {
            name: route.into(),
            condition: RequestMatchSpec::method("GET"),
            ..RouteSpec::default()
        }],
        ..ProfileSpec::default()
    };
    ServiceProfile {
        namespace: "shop".into(),
        name: format!("svc-{number}.shop.svc.cluster.local").into(),
        metadata: Metadata::default(),
        spec: Arc::new(spec),
    }
}
