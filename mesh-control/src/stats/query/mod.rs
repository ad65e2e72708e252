//! The questions: which series, grouped by what, and what the numbers say.

mod calls;
mod edges;
mod history;
mod numbers;
mod routes;
mod splits;
mod stat;
#[cfg(test)]
mod tests;

pub use calls::{Call, calls};
pub use edges::{Edge, EdgesQuery, edges};
pub use history::{History, history};
pub use numbers::{Latency, Responses, Tcp};
pub use routes::{DEFAULT_ROUTE, ResourceRoutes, RouteTraffic, RoutesQuery, routes};
pub use stat::{KindTraffic, Meshed, ResourceTraffic, SplitLeaf, StatQuery, stat};

use super::{Increase, Sidecar, Store, Topology};
use mesh_api::{Kind, Resource};
use std::fmt;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// It names what is not there.
    NotFound(String),
    /// It cannot be asked that way.
    Unsupported(String),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(reason) | Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for QueryError {}

/// The other side of a question about two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which resource.
    pub resource: Resource,
    /// In which namespace.
    pub namespace: String,
}

impl Peer {
    /// Returns true if `source` belongs to the resource.
    fn is_source(&self, source: &Sidecar) -> bool {
        label_of_source(self.resource.kind, source).is_some_and(|name| self.resource.includes(name))
            && (self.resource.kind == Kind::Namespace || *source.namespace == *self.namespace)
    }

    /// Returns true if `increase` was sent to the resource.
    fn is_destination(&self, increase: &Increase<'_>) -> bool {
        label_of_destination(self.resource.kind, increase).is_some_and(|(namespace, name)| {
            self.resource.includes(name)
                && (self.resource.kind == Kind::Namespace || namespace == self.namespace)
        })
    }
}

/// The name of the resource of `kind` that `source` belongs to.
fn label_of_source(kind: Kind, source: &Sidecar) -> Option<&str> {
    match kind {
        Kind::Deployment => Some(&source.deployment),
        Kind::Pod => Some(&source.pod),
        Kind::Namespace => Some(&source.namespace),
        _ => None,
    }
}

/// The namespace and name of the resource of `kind` that something went to.
fn label_of_destination<'a>(kind: Kind, to: &Increase<'a>) -> Option<(&'a str, &'a str)> {
    let labels = to.labels;
    let namespace = labels.dst_namespace.as_deref()?;
    let name = match kind {
        Kind::Deployment => labels.dst_deployment.as_deref()?,
        Kind::Pod => labels.dst_pod.as_deref()?,
        Kind::Service => labels.dst_service.as_deref()?,
        Kind::Namespace => namespace,
        _ => return None,
    };
    Some((namespace, name))
}

/// Checks that the named `resource` exists, or had traffic within [`RETAIN`](super::RETAIN). A
/// resource without a name stands for all of its kind and passes.
///
/// # Errors
///
/// [`QueryError::NotFound`] if there is none.
pub fn check_exists(
    store: &Store,
    topology: &Topology,
    resource: &Resource,
    namespace: &str,
) -> Result<(), QueryError> {
    let Some(name) = &resource.name else {
        return Ok(());
    };
    let name = name.as_str();
    let workloads = || {
        let workloads = topology.workloads.iter();
        workloads.filter(|workload| *workload.namespace == *namespace)
    };
    let is_there = match resource.kind {
        Kind::Authority => true,
        Kind::Deployment => workloads().any(|workload| *workload.name == *name),
        Kind::Pod => workloads().any(|one| one.pods.iter().any(|pod| *pod.name == *name)),
        Kind::Namespace => topology.workloads.iter().any(|one| *one.namespace == *name),
        Kind::Service => topology
            .services
            .iter()
            .any(|service| *service.name == *name && *service.namespace == *namespace),
        Kind::TrafficSplit => topology
            .splits
            .iter()
            .any(|split| *split.name == *name && *split.namespace == *namespace),
    };
    let peer = Peer {
        resource: resource.clone(),
        namespace: namespace.to_owned(),
    };
    if is_there || store.sources().any(|source| peer.is_source(source)) {
        return Ok(());
    }
    let kind = resource.kind.name();
    Err(QueryError::NotFound(match resource.kind {
        Kind::Namespace => format!("{kind} \"{name}\" not found in the mesh"),
        _ => format!("{kind} \"{name}\" not found in namespace \"{namespace}\""),
    }))
}
