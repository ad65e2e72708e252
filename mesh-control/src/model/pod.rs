use super::{Protocol, Target, WorkloadName};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// One replica of a workload: a program, and its sidecar if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name, as in `web-0`.
    pub name: Arc<str>,
    /// The workload that it is a replica of.
    pub workload: Option<WorkloadName>,
    /// The revision of the workload that it runs.
    pub revision: Option<Arc<str>>,
    /// Identity of what it runs, such as a hash of its template; `None` if unknown.
    pub template: Option<Arc<str>>,
    /// Labels that services select by.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Its address; without one it is no endpoint.
    pub address: Option<IpAddr>,
    /// The ports on which it takes requests.
    pub ports: Vec<PodPort>,
    /// Its readiness.
    pub conditions: Conditions,
    /// The name that it proves by certificate.
    pub identity: Option<Arc<str>>,
    /// The address at which its sidecar serves metrics and tap.
    pub admin: Option<SocketAddr>,
    /// The program does a sidecar's part itself.
    pub embedded: bool,
    /// The process id of the program, if it runs on the control plane's own machine.
    pub pid: Option<u32>,
}

/// A port on which a pod takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPort {
    /// Its name; services may lead to it by name.
    pub name: Arc<str>,
    /// Its number.
    pub number: u16,
    /// The protocol spoken on it, if it is known.
    pub protocol: Option<Protocol>,
}

/// The readiness of a pod, in the terms of Kubernetes' EndpointSlices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// It takes new requests.
    pub ready: bool,
    /// It answers requests, even if it is terminating.
    pub serving: bool,
    /// It finishes what it has and takes nothing new.
    pub terminating: bool,
}

impl Conditions {
    /// It takes requests.
    pub const READY: Self = Self {
        ready: true,
        serving: true,
        terminating: false,
    };
}

impl Pod {
    /// A pod that is not ready and has no workload, address or ports.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            workload: None,
            revision: None,
            template: None,
            labels: BTreeMap::new(),
            address: None,
            ports: Vec::new(),
            conditions: Conditions::default(),
            identity: None,
            admin: None,
            embedded: false,
            pid: None,
        }
    }

    /// Returns true if it has a sidecar, or does a sidecar's part itself.
    pub fn is_meshed(&self) -> bool {
        self.admin.is_some() || self.embedded
    }

    /// The addresses on which it takes requests.
    pub fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        let address = self.address;
        let ports = self.ports.iter();
        ports.filter_map(move |port| Some(SocketAddr::new(address?, port.number)))
    }

    /// The address that `target` leads to, and the protocol spoken there if it is known.
    pub fn target(&self, target: &Target) -> Option<(SocketAddr, Option<Protocol>)> {
        let port = |is_it: &dyn Fn(&PodPort) -> bool| self.ports.iter().find(|port| is_it(port));
        let (number, protocol) = match target {
            Target::Number(number) => {
                let declared = port(&|port| port.number == *number);
                (*number, declared.and_then(|port| port.protocol))
            }
            Target::Name(name) => {
                let port = port(&|port| port.name == *name)?;
                (port.number, port.protocol)
            }
        };
        Some((SocketAddr::new(self.address?, number), protocol))
    }
}
