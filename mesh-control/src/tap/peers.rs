//! The sidecars of a tap's target, and the labels of peers by address.

use super::Target;
use crate::{
    index::Snapshot,
    model::{Pod, WorkloadKind},
};
use mesh_api::Kind;
use mesh_tap::Peer;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// A sidecar that can be tapped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TappedSidecar {
    /// Its admin address.
    pub(super) admin: SocketAddr,
    /// The labels of its pod.
    pub(super) labels: Labels,
}

/// The sidecars of `target` as of now.
pub fn sidecars(snapshot: &Snapshot, target: &Target) -> Vec<TappedSidecar> {
    let pods = pods(snapshot, target).filter_map(|pod| {
        Some(TappedSidecar {
            admin: pod.admin?,
            labels: labels(pod),
        })
    });
    pods.collect()
}

/// Returns true if `target` includes programs of the mesh that have no sidecar to tap.
pub fn embeds(snapshot: &Snapshot, target: &Target) -> bool {
    pods(snapshot, target).any(|pod| pod.embedded)
}

fn pods<'a>(snapshot: &'a Snapshot, target: &'a Target) -> impl Iterator<Item = &'a Pod> {
    let meant = &target.resource;
    let is_meant = move |pod: &&Pod| {
        let is_here = *pod.namespace == *target.namespace;
        let Some(workload) = &pod.workload else {
            return false;
        };
        if workload.kind == WorkloadKind::Gateway {
            // Only by its name: it is not declared.
            return meant.kind == Kind::Deployment
                && meant.name.as_deref() == Some(&*workload.name);
        }
        match meant.kind {
            Kind::Namespace => meant.includes(&pod.namespace) && (is_here || meant.name.is_some()),
            Kind::Deployment => is_here && meant.includes(&workload.name),
            Kind::Pod => is_here && meant.includes(&pod.name),
            _ => false,
        }
    };
    snapshot.pods.iter().map(|pod| &**pod).filter(is_meant)
}

/// The labels of a pod, as discovery gives them to its endpoints.
pub(super) fn labels(pod: &Pod) -> Labels {
    let workload = pod.workload.as_ref();
    let workload = workload.map(|it| (it.kind.as_str(), &it.name));
    let labels = [("namespace", &pod.namespace), ("pod", &pod.name)];
    let labels = workload.into_iter().chain(labels);
    labels
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect()
}

/// The labels of pods by address.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerLabels {
    /// By an address on which the pod takes requests.
    listening: HashMap<SocketAddr, Labels>,
    /// By an IP address that only one pod has; `None` for one that several have.
    alone: HashMap<IpAddr, Option<Labels>>,
}

type Labels = Vec<(String, String)>;

impl PeerLabels {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut known = Self::default();
        for pod in &snapshot.pods {
            if pod.workload.as_ref().map(|it| it.kind) == Some(WorkloadKind::Gateway) {
                continue;
            }
            let labels = labels(pod);
            for addr in pod.listening().chain(pod.admin) {
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
            let listening = pod.listening().map(|addr| (addr, labels.clone()));
            known.listening.extend(listening);
        }
        known
    }

    /// Adds the labels of the pod at a peer's address.
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
    use crate::{
        index::Index,
        model::{PodPort, WorkloadName},
    };
    use std::sync::Arc;

    fn snapshot(pods: impl IntoIterator<Item = Pod>) -> Arc<Snapshot> {
        let index = Index::new("cluster.local");
        let sink = index.sink();
        for pod in pods {
            sink.apply(pod);
        }
        index.snapshot()
    }

    fn pod(namespace: &str, name: &str) -> Pod {
        let (workload, _) = name.rsplit_once('-').unwrap();
        Pod {
            workload: Some(WorkloadName::deployment(workload)),
            ..Pod::new(namespace, name)
        }
    }

    fn admin(addr: &str, pod: Pod) -> Pod {
        Pod {
            admin: Some(addr.parse().unwrap()),
            ..pod
        }
    }

    fn inbound(addr: &str, pod: Pod) -> Pod {
        let addr: SocketAddr = addr.parse().unwrap();
        Pod {
            address: Some(addr.ip()),
            ports: vec![PodPort {
                name: "http".into(),
                number: addr.port(),
                protocol: None,
            }],
            ..pod
        }
    }

    fn running() -> Arc<Snapshot> {
        let web = inbound("127.0.0.1:10", pod("shop", "web-0"));
        let gateway = Pod {
            workload: Some(WorkloadName::gateway()),
            ..pod("shop", "mesh-gateway")
        };
        snapshot([
            admin("127.0.0.1:1", web),
            pod("shop", "web-1"),
            admin("127.0.0.1:2", pod("other", "web-0")),
            admin("127.0.0.1:3", gateway),
        ])
    }

    fn ports(resource: &str) -> Vec<u16> {
        let target = Target {
            resource: resource.parse().unwrap(),
            namespace: "shop".to_owned(),
        };
        sidecars(&running(), &target)
            .iter()
            .map(|sidecar| sidecar.admin.port())
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
        let front = Pod {
            embedded: true,
            ..pod("shop", "front-0")
        };
        let running = snapshot([front, pod("shop", "plain-0")]);
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
            assert!(sidecars(&running, &target).is_empty());
            assert_eq!(embeds(&running, &target), embedded, "{resource}");
        }
    }

    #[test]
    fn who_has_an_address_alone_is_known_by_it_from_whatever_port() {
        let web = inbound("10.1.0.2:80", pod("shop", "web-0"));
        let known = PeerLabels::new(&snapshot([
            admin("10.1.0.2:4191", web),
            admin("10.1.0.3:4191", pod("shop", "web-1")),
            admin("10.1.0.4:4191", pod("shop", "web-2")),
            admin("10.1.0.4:4192", pod("shop", "web-3")),
            admin("127.0.0.1:4191", pod("shop", "web-4")),
        ]));
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
        PeerLabels::new(&running()).enrich(&mut peer);
        assert_eq!(peer.label("pod"), Some("own"));
        assert_eq!(peer.label("deployment"), Some("web"));
        let mut stranger = Peer::default();
        PeerLabels::new(&running()).enrich(&mut stranger);
        assert_eq!(stranger, Peer::default());
    }
}
