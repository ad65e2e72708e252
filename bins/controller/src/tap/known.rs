//! Which replicas are meant, and whose addresses are known.

use super::Target;
use crate::source::workloads::{Replica, Workload, Workloads};
use mesh_api::Kind;
use mesh_tap::Peer;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// A replica whose sidecar can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pod {
    /// Where its sidecar is asked.
    pub(super) admin: SocketAddr,
    /// What is known of it.
    pub(super) labels: Vec<(String, String)>,
}

/// The replicas that `target` means, now.
pub(crate) fn pods(running: &Workloads, target: &Target) -> Vec<Pod> {
    let meant = &target.resource;
    let mut pods = Vec::new();
    for (workload, replica) in replicas(running, target) {
        if let Some(admin) = replica.admin {
            let labels = labels(&workload.namespace, &workload.name, &replica.pod);
            pods.push(Pod { admin, labels });
        }
    }
    if let Some(gateway) = &running.gateway
        && meant.kind == Kind::Deployment
        && meant.name.as_deref() == Some(crate::stats::GATEWAY)
    {
        let name = crate::stats::GATEWAY;
        let labels = labels(&running.namespace, name, name);
        pods.push(Pod {
            admin: gateway.admin,
            labels,
        });
    }
    pods
}

/// Whether `target` means programs in the mesh that have no sidecar to be asked.
pub(crate) fn embeds(running: &Workloads, target: &Target) -> bool {
    replicas(running, target).any(|(_, replica)| replica.embedded)
}

fn replicas<'a>(
    running: &'a Workloads,
    target: &'a Target,
) -> impl Iterator<Item = (&'a Workload, &'a Replica)> {
    let meant = &target.resource;
    let is_meant = move |workload: &Workload, replica: &Replica| {
        let is_here = workload.namespace == target.namespace;
        match meant.kind {
            Kind::Namespace => {
                meant.includes(&workload.namespace) && (is_here || meant.name.is_some())
            }
            Kind::Deployment => is_here && meant.includes(&workload.name),
            Kind::Pod => is_here && meant.includes(&replica.pod),
            _ => false,
        }
    };
    let all = running.workloads.iter();
    let all = all.flat_map(|workload| workload.replicas.iter().map(move |it| (workload, it)));
    all.filter(move |(workload, replica)| is_meant(workload, replica))
}

pub(super) fn labels(namespace: &str, workload: &str, pod: &str) -> Vec<(String, String)> {
    [
        ("deployment", workload),
        ("namespace", namespace),
        ("pod", pod),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// What is known of addresses: whose inbound side listens there, and who has a machine or a network
/// of his own.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    listening: HashMap<SocketAddr, Labels>,
    /// `None` for those that several have.
    alone: HashMap<IpAddr, Option<Labels>>,
}

type Labels = Vec<(String, String)>;

impl Known {
    pub(super) fn new(running: &Workloads) -> Self {
        let mut known = Self::default();
        for workload in &running.workloads {
            for replica in &workload.replicas {
                let labels = labels(&workload.namespace, &workload.name, &replica.pod);
                for addr in [replica.inbound, replica.admin].into_iter().flatten() {
                    let ip = addr.ip();
                    if ip.is_loopback() || ip.is_unspecified() {
                        continue;
                    }
                    let alone = known
                        .alone
                        .entry(ip)
                        .or_insert_with(|| Some(labels.clone()));
                    alone.take_if(|other| *other != labels);
                }
                if let Some(addr) = replica.inbound {
                    known.listening.insert(addr, labels);
                }
            }
        }
        known
    }

    /// Adds what is known of a peer's address to what it says itself.
    pub(super) fn enrich(&self, peer: &mut Peer) {
        let Some(addr) = peer.addr else {
            return;
        };
        let alone = || self.alone.get(&addr.ip())?.as_ref();
        if let Some(labels) = self.listening.get(&addr).or_else(alone) {
            add(peer, labels);
        }
    }
}

/// Adds labels that `peer` does not have.
pub(super) fn add(peer: &mut Peer, labels: &[(String, String)]) {
    let new = labels.iter().filter(|(name, _)| peer.label(name).is_none());
    let all: Vec<_> = peer.labels.iter().chain(new).cloned().collect();
    peer.labels = all.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Workloads {
        serde_json::from_str(
            r#"{"generation": 1, "namespace": "shop", "workloads": [
                {"name": "web", "namespace": "shop", "replicas": [
                    {"pod": "web-0", "inbound": "127.0.0.1:10", "admin": "127.0.0.1:1"},
                    {"pod": "web-1"}
                ]},
                {"name": "web", "namespace": "other", "replicas": [
                    {"pod": "web-0", "admin": "127.0.0.1:2"}
                ]}
            ], "gateway": {"admin": "127.0.0.1:3"}}"#,
        )
        .unwrap()
    }

    fn ports(resource: &str) -> Vec<u16> {
        let target = Target {
            resource: resource.parse().unwrap(),
            namespace: "shop".to_owned(),
        };
        pods(&running(), &target)
            .iter()
            .map(|pod| pod.admin.port())
            .collect()
    }

    #[test]
    fn only_what_is_meant_and_has_a_sidecar_is_asked() {
        assert_eq!(ports("deploy/web"), [1]);
        assert_eq!(ports("po/web-0"), [1]);
        assert_eq!(ports("po/web-1"), [0; 0]);
        assert_eq!(ports("ns/shop"), [1]);
        assert_eq!(ports("ns/other"), [2]);
        assert_eq!(ports("deploy"), [1]);
        assert_eq!(ports("deploy/mesh-gateway"), [3]);
        assert_eq!(ports("deploy/nope"), [0; 0]);
    }

    #[test]
    fn a_program_without_a_sidecar_is_no_pod_to_ask() {
        let text = r#"{"generation": 1, "namespace": "shop", "workloads": [
            {"name": "front", "namespace": "shop", "replicas": [
                {"pod": "front-0", "embedded": true}]},
            {"name": "plain", "namespace": "shop", "replicas": [{"pod": "plain-0"}]}]}"#;
        let running: Workloads = serde_json::from_str(text).unwrap();
        for (resource, embedded) in [
            ("deploy/front", true),
            ("po/front-0", true),
            ("ns/shop", true),
            ("deploy/plain", false),
            ("deploy/nope", false),
        ] {
            let target = Target {
                resource: resource.parse().unwrap(),
                namespace: "shop".to_owned(),
            };
            assert!(pods(&running, &target).is_empty());
            assert_eq!(embeds(&running, &target), embedded, "{resource}");
        }
    }

    #[test]
    fn who_has_an_address_alone_is_known_by_it_from_whatever_port() {
        let text = r#"{"generation": 1, "namespace": "shop", "workloads": [
            {"name": "web", "namespace": "shop", "replicas": [
                {"pod": "web-0", "inbound": "10.1.0.2:80", "admin": "10.1.0.2:4191"},
                {"pod": "web-1", "admin": "10.1.0.3:4191"},
                {"pod": "web-2", "admin": "10.1.0.4:4191"},
                {"pod": "web-3", "admin": "10.1.0.4:4192"},
                {"pod": "web-4", "admin": "127.0.0.1:4191"}]}]}"#;
        let known = Known::new(&serde_json::from_str(text).unwrap());
        for (addr, pod) in [
            ("10.1.0.2:51234", Some("web-0")),
            ("10.1.0.3:51234", Some("web-1")),
            ("10.1.0.4:51234", None),
            ("127.0.0.1:51234", None),
        ] {
            let mut peer = Peer {
                addr: Some(addr.parse().unwrap()),
                ..Peer::default()
            };
            known.enrich(&mut peer);
            assert_eq!(peer.label("pod"), pod, "{addr}");
        }
    }

    #[test]
    fn a_known_address_gets_labels_that_it_lacks() {
        let mut peer = Peer {
            addr: Some("127.0.0.1:10".parse().unwrap()),
            labels: [("pod".to_owned(), "own".to_owned())].into(),
        };
        Known::new(&running()).enrich(&mut peer);
        assert_eq!(peer.label("pod"), Some("own"));
        assert_eq!(peer.label("deployment"), Some("web"));
        let mut stranger = Peer::default();
        Known::new(&running()).enrich(&mut stranger);
        assert_eq!(stranger, Peer::default());
    }
}
