//! A program's request to be registered, and the answer.

use super::MAX_REGISTERED;
use crate::model::{Conditions, Protocol};
use std::{fmt, net::SocketAddr, sync::Arc};

/// A program that wants to be registered. Its names and addresses have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its namespace; by default, the one of clients that do not state theirs.
    pub namespace: Option<Arc<str>>,
    /// Its workload, a deployment.
    pub workload: Arc<str>,
    /// The name of its pod; by default, the workload's with a number.
    pub pod: Option<Arc<str>>,
    /// Tells its process from others.
    pub instance: u64,
    /// The service that it answers for, named like the workload.
    pub service: Option<RegisteredService>,
    /// Its readiness.
    pub conditions: Conditions,
    /// Its process id.
    pub pid: Option<u32>,
}

/// The service of a registered program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredService {
    /// The port that clients call.
    pub port: u16,
    /// The address on which the program takes requests.
    pub addr: SocketAddr,
    /// The protocol that it speaks, if it is known.
    pub protocol: Option<Protocol>,
}

/// The right of one stream to speak for a registered program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The workload.
    pub workload: Arc<str>,
    /// The pod.
    pub pod: Arc<str>,
    pub(super) stream: u64,
}

/// The reason why a program is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A source declares a workload or a service of that name.
    Declared(Arc<str>),
    /// Another process has the name of the pod.
    Taken(Arc<str>),
    /// The workload's other pods serve this port, or none.
    OtherPort(Option<u16>),
    /// [`MAX_REGISTERED`] programs are registered.
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(name) => write!(
                f,
                "{name} is a workload or a service that the mesh runs itself"
            ),
            Self::Taken(pod) => write!(f, "another process is registered as {pod}"),
            Self::OtherPort(Some(port)) => {
                write!(f, "the workload's other replicas serve port {port}")
            }
            Self::OtherPort(None) => f.write_str("the workload's other replicas serve no port"),
            Self::Full => write!(f, "{MAX_REGISTERED} replicas are registered already"),
        }
    }
}

impl std::error::Error for Refusal {}
