//! What there is in the mesh, as the questions need it.

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
    /// Whether it has a sidecar.
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
    /// The name clients call a service by, without port.
    pub fn fqdn(&self, service: &Service) -> String {
        format!("{}.{}.svc.{}", service.name, service.namespace, self.domain)
    }
}
