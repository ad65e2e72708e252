//! What there is in the mesh, as the questions need it.

use super::{Sidecar, scrape};
use crate::source::workloads::{self, Workloads};
use std::sync::Arc;

/// The workload under which the gateway sidecar shows up: a source of requests, not a workload
/// that anyone wrote, so it is listed only when asked for by name.
pub const GATEWAY: &str = "mesh-gateway";

/// The workloads and services there are now.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// What service names end in: `cluster.local`.
    pub domain: Arc<str>,
    /// The workloads.
    pub workloads: Vec<Workload>,
    /// The services.
    pub services: Vec<Service>,
}

/// One workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its replicas.
    pub pods: Vec<Pod>,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: Arc<str>,
    /// `Running`, `Pending` or `Terminating`.
    pub status: &'static str,
    /// Whether it has a sidecar, or needs none.
    pub is_meshed: bool,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The workload that answers for it.
    pub workload: Option<Arc<str>>,
    /// The names of the routes of its profile.
    pub routes: Vec<Arc<str>>,
}

impl Topology {
    /// What `mesh up` runs. `routes` gives the routes of a service's profile, by its namespace
    /// and its name in full.
    pub fn new(
        running: &Workloads,
        domain: &str,
        mut routes: impl FnMut(&str, &str) -> Vec<Arc<str>>,
    ) -> Self {
        let mut new = Self {
            domain: domain.into(),
            ..Self::default()
        };
        for workload in &running.workloads {
            new.workloads.push(Workload {
                namespace: workload.namespace.as_str().into(),
                name: workload.name.as_str().into(),
                pods: workload.replicas.iter().map(Pod::from).collect(),
            });
            if let Some(name) = workload.service() {
                let mut service = Service {
                    namespace: workload.namespace.as_str().into(),
                    name: name.into(),
                    workload: Some(workload.name.as_str().into()),
                    routes: Vec::new(),
                };
                service.routes = routes(&service.namespace, &new.fqdn(&service));
                new.services.push(service);
            }
        }
        new
    }

    /// The name clients call a service by, without port.
    pub fn fqdn(&self, service: &Service) -> String {
        format!("{}.{}.svc.{}", service.name, service.namespace, self.domain)
    }
}

impl From<&workloads::Replica> for Pod {
    fn from(replica: &workloads::Replica) -> Self {
        Self {
            name: replica.pod.as_str().into(),
            status: match replica {
                _ if replica.draining => "Terminating",
                _ if replica.ready => "Running",
                _ => "Pending",
            },
            is_meshed: replica.is_meshed(),
        }
    }
}

/// The sidecars to read, the gateway's included.
pub fn targets(running: &Workloads) -> Vec<scrape::Target> {
    let replicas = running.workloads.iter().flat_map(|workload| {
        workload.replicas.iter().filter_map(|replica| {
            let source = Sidecar {
                namespace: workload.namespace.as_str().into(),
                deployment: workload.name.as_str().into(),
                pod: replica.pod.as_str().into(),
            };
            Some((source, replica.admin?))
        })
    });
    let gateway = running.gateway.iter().map(|gateway| {
        let source = Sidecar {
            namespace: running.namespace.as_str().into(),
            deployment: GATEWAY.into(),
            pod: GATEWAY.into(),
        };
        (source, gateway.admin)
    });
    replicas.chain(gateway).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_what_is_asked_about() {
        let running: Workloads = serde_json::from_str(
            r#"{"generation": 1, "namespace": "shop", "workloads": [
                {"name": "web", "namespace": "shop", "service": "web-svc", "service_port": 80, "replicas": [
                    {"pod": "web-0", "ready": true, "admin": "127.0.0.1:1"},
                    {"pod": "web-1", "draining": true, "admin": "127.0.0.1:2"},
                    {"pod": "web-2"}
                ]},
                {"name": "job", "namespace": "shop"}
            ], "gateway": {"admin": "127.0.0.1:3"}}"#,
        )
        .unwrap();
        let topology = Topology::new(&running, "cluster.local", |namespace, fqdn| {
            assert_eq!(
                (namespace, fqdn),
                ("shop", "web-svc.shop.svc.cluster.local")
            );
            vec!["GET /".into()]
        });
        let pods = &topology.workloads[0].pods;
        let status: Vec<_> = pods.iter().map(|pod| (pod.status, pod.is_meshed)).collect();
        assert_eq!(
            status,
            [("Running", true), ("Terminating", true), ("Pending", false)]
        );
        let [service] = &topology.services[..] else {
            panic!("one service, not {:?}", topology.services);
        };
        assert_eq!(
            (&*service.name, service.workload.as_deref()),
            ("web-svc", Some("web"))
        );

        let targets = targets(&running);
        let pods: Vec<_> = targets.iter().map(|(source, _)| &*source.pod).collect();
        assert_eq!(pods, ["web-0", "web-1", GATEWAY]);
    }
}
