use super::{Kind, Pod, Reference, ServiceName, WorkloadName};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// A name that clients call, and the pods that answer for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name and namespace.
    pub name: ServiceName,
    /// The ports that clients call. A call to any other port is outside the mesh.
    pub ports: Vec<Port>,
    /// Addresses that stand for the service: a call to one of them is a call to the service.
    pub addresses: Vec<IpAddr>,
    /// The pods that answer for it.
    pub members: Members,
}

impl Service {
    /// A service without ports, addresses or pods.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: ServiceName {
                service: name.into(),
                namespace: namespace.into(),
            },
            ports: Vec::new(),
            addresses: Vec::new(),
            members: Members::default(),
        }
    }

    /// Adds a port.
    #[must_use]
    pub fn with_port(mut self, port: Port) -> Self {
        self.ports.push(port);
        self
    }

    /// Sets the pods that answer for it.
    #[must_use]
    pub fn with_members(mut self, members: Members) -> Self {
        self.members = members;
        self
    }

    /// The port that clients call as `number`.
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Returns true if `pod` answers for it.
    pub fn selects(&self, pod: &Pod) -> bool {
        pod.namespace == self.name.namespace && self.members.include(pod)
    }
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name; empty if the service has only this one.
    pub name: Arc<str>,
    /// The number that clients call.
    pub number: u16,
    /// The port of the pods behind it.
    pub target: Target,
    /// The protocol spoken on it, if it is declared.
    pub protocol: Option<Protocol>,
}

impl Port {
    /// A port without a name, behind which pods listen on `target`.
    pub fn new(number: u16, target: Target) -> Self {
        Self {
            name: "".into(),
            number,
            target,
            protocol: None,
        }
    }
}

/// The port of a pod that a service's port leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This number on the pod's address.
    Number(u16),
    /// The pod's port of this name. Pods without one are no endpoints.
    Name(Arc<str>),
}

/// The protocol that a program speaks on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.
    Http1,
    /// HTTP/2 with prior knowledge, as gRPC needs.
    H2,
    /// Not HTTP: bytes.
    Opaque,
}

/// The pods of its namespace that answer for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Those that carry all of these labels; none if it is empty.
    Selector(BTreeMap<Arc<str>, Arc<str>>),
    /// Those of these workloads.
    Workloads(Vec<WorkloadName>),
    /// Those of these names.
    Pods(Vec<Arc<str>>),
}

impl Default for Members {
    fn default() -> Self {
        Self::Pods(Vec::new())
    }
}

impl Members {
    fn include(&self, pod: &Pod) -> bool {
        match self {
            Self::Selector(labels) => {
                let has = |(key, value)| pod.labels.get(key) == Some(value);
                !labels.is_empty() && labels.iter().all(has)
            }
            Self::Workloads(workloads) => pod
                .workload
                .as_ref()
                .is_some_and(|workload| workloads.contains(workload)),
            Self::Pods(pods) => pods.contains(&pod.name),
        }
    }
}

impl ServiceName {
    /// The reference of the service of this name.
    pub fn reference(&self) -> Reference {
        Reference {
            kind: Kind::Service,
            namespace: self.namespace.clone(),
            name: self.service.clone(),
        }
    }
}
