//! From `workloads.json` to the model.

use super::workloads::{Protocol, Replica, Workload, Workloads};
use mesh_control::{
    model::{
        self, Conditions, Kind, Members, Mesh, Object, Pod, PodPort, Port, ServiceName, Target,
        WorkloadKind, WorkloadName,
    },
    source::Event,
};
use std::{collections::BTreeMap, sync::Arc};

/// The events that make the index hold what `file` says.
pub(super) fn events(file: &Workloads) -> [Event; 5] {
    let mesh = Mesh {
        namespace: file.namespace.as_str().into(),
    };
    let mut workloads = Vec::new();
    let mut gateways = Vec::new();
    let mut pods = Vec::new();
    for workload in &file.workloads {
        let name = WorkloadName::deployment(workload.name.as_str());
        let namespace = workload.namespace.as_str();
        let of = model::Workload {
            template: workload.template.as_deref().map(Into::into),
            desired: workload.desired,
            ..model::Workload::new(namespace, name)
        };
        workloads.push(of.into());
        let replicas = workload.replicas.iter();
        pods.extend(replicas.map(|replica| pod(workload, replica).into()));
    }
    if let Some(gateway) = &file.gateway {
        let namespace = file.namespace.as_str();
        let name = WorkloadName::gateway();
        gateways.push(model::Workload::new(namespace, name.clone()).into());
        let pod = Pod {
            admin: Some(gateway.admin),
            workload: Some(name.clone()),
            ..Pod::new(namespace, name.name)
        };
        pods.push(pod.into());
    }
    [
        Event::Reset(Kind::Mesh, vec![mesh.into()]),
        Event::Reset(Kind::Workload(WorkloadKind::Deployment), workloads),
        Event::Reset(Kind::Workload(WorkloadKind::Gateway), gateways),
        Event::Reset(Kind::Service, services(&file.workloads)),
        Event::Reset(Kind::Pod, pods),
    ]
}

/// The services: workloads that give theirs the same name share one.
fn services(workloads: &[Workload]) -> Vec<Object> {
    let mut services: BTreeMap<ServiceName, (model::Service, Vec<WorkloadName>)> = BTreeMap::new();
    for workload in workloads {
        let Some(name) = workload.service() else {
            continue;
        };
        let new = model::Service::new(workload.namespace.as_str(), name);
        let service = services.entry(new.name.clone());
        let (service, members) = service.or_insert_with(|| (new, Vec::new()));
        members.push(WorkloadName::deployment(workload.name.as_str()));
        service.addresses.extend(&workload.addresses);
        for number in workload.service_ports() {
            let mut replicas = workload.replicas.iter();
            let is_opaque = replicas.any(|replica| replica.is_opaque(workload, number));
            let place = service.ports.iter().position(|port| port.number == number);
            let place = place.unwrap_or_else(|| {
                let target = Target::Name(port_name(number));
                service.ports.push(Port::new(number, target));
                service.ports.len() - 1
            });
            if is_opaque {
                service.ports[place].protocol = Some(model::Protocol::Opaque);
            }
        }
    }
    for primary in workloads {
        follow_primary(&mut services, workloads, primary);
    }
    let services = services.into_values();
    let services =
        services.map(|(service, members)| service.with_members(Members::Workloads(members)));
    services.map(Object::from).collect()
}

/// If `primary` is the primary of a workload, gives the workload's service the primary's pods once one
/// of them is ready, and the workload's own pods a service of their own, as Flagger does.
fn follow_primary(
    services: &mut BTreeMap<ServiceName, (model::Service, Vec<WorkloadName>)>,
    workloads: &[Workload],
    primary: &Workload,
) {
    let namespace = &primary.namespace;
    let Some(target) = primary.name.strip_suffix("-primary") else {
        return;
    };
    let mut targets = workloads.iter();
    let target = targets.find(|it| it.name == target && it.namespace == *namespace);
    let Some((target, apex)) = target.and_then(|target| Some((target, target.service()?))) else {
        return;
    };
    let apex = model::Service::new(namespace.as_str(), apex).name;
    let Some((service, members)) = services.get_mut(&apex) else {
        return;
    };
    let canary = model::Service {
        ports: service.ports.clone(),
        ..model::Service::new(namespace.as_str(), format!("{}-canary", apex.service))
    };
    let own = WorkloadName::deployment(target.name.as_str());
    if primary.ready().next().is_some() {
        members.retain(|member| *member != own);
        members.push(WorkloadName::deployment(primary.name.as_str()));
    }
    services
        .entry(canary.name.clone())
        .or_insert((canary, vec![own]));
}

fn pod(workload: &Workload, replica: &Replica) -> Pod {
    let main = workload.service_port.zip(replica.inbound);
    let main = main.map(|(service, inbound)| (service, inbound, replica.protocol));
    let further = replica.further.iter();
    let further = further.map(|it| (it.port, it.inbound, it.protocol));
    let ports = main.into_iter().chain(further);
    let ports = ports.map(|(service, inbound, protocol)| PodPort {
        name: port_name(service),
        number: inbound.port(),
        protocol: protocol.map(|protocol| match protocol {
            Protocol::Http1 => model::Protocol::Http1,
            Protocol::H2 => model::Protocol::H2,
            Protocol::Opaque => model::Protocol::Opaque,
        }),
    });
    Pod {
        workload: Some(WorkloadName::deployment(workload.name.as_str())),
        address: replica.inbound.map(|inbound| inbound.ip()),
        ports: ports.collect(),
        conditions: Conditions {
            ready: replica.ready && !replica.draining,
            serving: replica.ready,
            terminating: replica.draining,
        },
        revision: replica.revision.as_deref().map(Into::into),
        template: replica.template.as_deref().map(Into::into),
        admin: replica.admin,
        embedded: replica.embedded,
        pid: replica.pid,
        ..Pod::new(workload.namespace.as_str(), replica.pod.as_str())
    }
}

/// The name of the port on which a pod answers for the port `number` of its service.
fn port_name(number: u16) -> Arc<str> {
    format!("port-{number}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_control::index::Index;

    fn index(file: &str) -> Index {
        let index = Index::new("cluster.local");
        index
            .sink()
            .send(events(&serde_json::from_str(file).unwrap()));
        index
    }

    #[test]
    fn two_workloads_with_one_service_share_it() {
        let index = index(
            r#"{"generation": 1, "namespace": "shop", "workloads": [
                {"name": "web", "namespace": "shop", "service_port": 80, "replicas": [
                    {"pod": "web-0", "ready": true, "inbound": "127.0.0.1:1"}]},
                {"name": "web-v2", "namespace": "shop", "service": "web", "service_port": 80,
                 "replicas": [{"pod": "web-v2-0", "ready": true, "inbound": "127.0.0.1:2",
                               "protocol": "h2", "revision": "2"}]},
                {"name": "web-admin", "namespace": "shop", "service": "web", "service_port": 81,
                 "replicas": [{"pod": "web-admin-0", "ready": true, "inbound": "127.0.0.1:3",
                               "protocol": "opaque"}]}]}"#,
        );
        let of = |authority| {
            let endpoints = index.endpoints(authority, "");
            let pods = endpoints.list.iter();
            pods.map(|endpoint| (endpoint.labels["deployment"].clone(), endpoint.h2))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("web:80"),
            [("web".into(), false), ("web-v2".into(), true)]
        );
        assert_eq!(of("web:81"), [("web-admin".into(), false)]);
        assert!(index.apex("web:81", "").opaque);
        assert!(!index.apex("web:80", "").opaque);
    }

    #[test]
    fn the_service_of_a_workload_with_a_primary_is_the_primarys_once_that_is_ready() {
        let file = |ready: bool| {
            format!(
                r#"{{"generation": 1, "namespace": "test", "workloads": [
                    {{"name": "web", "namespace": "test", "service_port": 80, "replicas": [
                        {{"pod": "web-0", "ready": true, "inbound": "127.0.0.1:1"}}]}},
                    {{"name": "web-primary", "namespace": "test", "service_port": 80, "replicas": [
                        {{"pod": "web-primary-0", "ready": {ready}, "inbound": "127.0.0.1:2"}}]}}]}}"#
            )
        };
        for (ready, apex, primary) in [(false, 1, vec![]), (true, 2, vec![2])] {
            let index = index(&file(ready));
            let ports = |authority| {
                let endpoints = index.endpoints(authority, "test");
                let ports = endpoints.list.iter().map(|endpoint| endpoint.addr.port());
                ports.collect::<Vec<_>>()
            };
            assert_eq!(ports("web:80"), [apex]);
            assert_eq!(ports("web-canary:80"), [1]);
            assert_eq!(ports("web-primary:80"), primary);
        }
    }

    #[test]
    fn a_service_has_the_further_ports_of_its_workload() {
        let index = index(
            r#"{"generation": 1, "namespace": "shop", "workloads": [
                {"name": "web", "namespace": "shop", "service_port": 80, "further_ports": [9090, 7],
                 "replicas": [{"pod": "web-0", "ready": true, "inbound": "127.0.0.1:1", "further": [
                    {"port": 9090, "inbound": "127.0.0.1:2"},
                    {"port": 7, "inbound": "127.0.0.1:3", "protocol": "opaque"}]}]}]}"#,
        );
        for (authority, port, opaque) in [
            ("web:80", 1, false),
            ("web:9090", 2, false),
            ("web:7", 3, true),
        ] {
            let endpoints = index.endpoints(authority, "shop");
            let ports: Vec<_> = endpoints.list.iter().map(|it| it.addr.port()).collect();
            assert_eq!(ports, [port], "{authority}");
            assert_eq!(index.apex(authority, "shop").opaque, opaque, "{authority}");
        }
    }

    #[test]
    fn a_pod_that_drains_or_serves_nothing_is_no_endpoint() {
        let index = index(
            r#"{"generation": 1, "namespace": "shop", "workloads": [
                {"name": "web", "namespace": "shop", "service_port": 80, "service": "web-svc",
                 "addresses": ["10.0.0.9"], "replicas": [
                    {"pod": "web-0", "ready": true, "inbound": "127.0.0.1:1", "draining": true},
                    {"pod": "web-1", "ready": true},
                    {"pod": "web-2", "inbound": "127.0.0.1:3"},
                    {"pod": "web-3", "ready": true, "inbound": "127.0.0.1:4"}]}],
                "gateway": {"admin": "127.0.0.1:9"}}"#,
        );
        for authority in ["web-svc:80", "10.0.0.9:80"] {
            let endpoints = index.endpoints(authority, "shop");
            let ports: Vec<_> = endpoints.list.iter().map(|it| it.addr.port()).collect();
            assert_eq!(ports, [4], "{authority}");
        }
        assert!(!index.endpoints("web:80", "shop").exists);
        let snapshot = index.snapshot();
        let kinds: Vec<_> = snapshot.workloads.iter().map(|it| it.name.kind).collect();
        assert_eq!(kinds, [WorkloadKind::Deployment, WorkloadKind::Gateway]);
    }
}
