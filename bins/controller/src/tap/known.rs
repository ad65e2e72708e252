//! Which replicas are meant, and whose addresses are known.

use super::Target;
use crate::{source::workloads::Workloads, web::api::Kind};
use mesh_tap::Peer;
use std::{collections::HashMap, net::SocketAddr};

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
    for workload in &running.workloads {
        let is_here = workload.namespace == target.namespace;
        for replica in &workload.replicas {
            let is_meant = match meant.kind {
                Kind::Namespace => {
                    meant.includes(&workload.namespace) && (is_here || meant.name.is_some())
                }
                Kind::Deployment => is_here && meant.includes(&workload.name),
                Kind::Pod => is_here && meant.includes(&replica.pod),
                _ => false,
            };
            if let Some(admin) = replica.admin.filter(|_| is_meant) {
                let labels = labels(&workload.namespace, &workload.name, &replica.pod);
                pods.push(Pod { admin, labels });
            }
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

fn labels(namespace: &str, workload: &str, pod: &str) -> Vec<(String, String)> {
    [
        ("deployment", workload),
        ("namespace", namespace),
        ("pod", pod),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// What is known of addresses: whose inbound side listens there.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(HashMap<SocketAddr, Vec<(String, String)>>);

impl Known {
    pub(super) fn new(running: &Workloads) -> Self {
        let mut known = HashMap::new();
        for workload in &running.workloads {
            for replica in &workload.replicas {
                if let Some(addr) = replica.inbound {
                    let labels = labels(&workload.namespace, &workload.name, &replica.pod);
                    known.insert(addr, labels);
                }
            }
        }
        Self(known)
    }

    /// Adds what is known of a peer's address to what it says itself.
    pub(super) fn enrich(&self, peer: &mut Peer) {
        if let Some(labels) = peer.addr.and_then(|addr| self.0.get(&addr)) {
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
