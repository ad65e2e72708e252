//! Which ports: a replica's own, and those of the host.

use super::authority;
use crate::up::config::{Config, HostPort, Workload};
use std::collections::BTreeMap;

/// The loopback ports of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaPorts {
    /// Where the program listens, if it does.
    pub(crate) app: Option<u16>,
    /// Where its sidecar takes calls for it.
    pub(crate) inbound: Option<u16>,
    /// Where its sidecar takes its calls.
    pub(crate) outbound: u16,
    /// The sidecar's admin listener.
    pub(crate) admin: u16,
    /// One for each further port of the service, in their order.
    pub(crate) further: Vec<FurtherPort>,
    /// One for each upstream, in the order of their variables.
    pub(crate) upstreams: Vec<u16>,
}

/// The loopback ports of a further port of a replica's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FurtherPort {
    /// Where the program listens.
    pub(crate) app: u16,
    /// Where its sidecar takes calls for it.
    pub(crate) inbound: u16,
}

impl ReplicaPorts {
    /// Chooses them, each with `next`.
    pub(crate) fn choose(
        workload: &Workload,
        mut next: impl FnMut() -> anyhow::Result<u16>,
    ) -> anyhow::Result<Self> {
        let serves = workload.port.is_some();
        Ok(Self {
            app: match workload.listen {
                Some(port) => Some(port),
                None => serves.then(&mut next).transpose()?,
            },
            inbound: serves.then(&mut next).transpose()?,
            outbound: next()?,
            admin: next()?,
            further: workload
                .ports
                .iter()
                .map(|port| {
                    let app = match port.listen {
                        Some(port) => port,
                        None => next()?,
                    };
                    let inbound = next()?;
                    Ok(FurtherPort { app, inbound })
                })
                .collect::<anyhow::Result<_>>()?,
            upstreams: workload
                .upstreams
                .iter()
                .map(|_| next())
                .collect::<anyhow::Result<_>>()?,
        })
    }

    /// All of them, to be given back.
    pub(crate) fn all(&self) -> impl Iterator<Item = u16> {
        let some = self.app.into_iter().chain(self.inbound);
        some.chain([self.outbound, self.admin])
            .chain(self.upstreams.clone())
            .chain(self.further.iter().flat_map(|it| [it.app, it.inbound]))
    }
}

/// The host ports of a mesh.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HostPorts {
    /// Authority that each port serves.
    pub(crate) services: BTreeMap<u16, String>,
    /// Messages about services without a port.
    pub(crate) notes: Vec<String>,
    /// Why the mesh cannot start: explicit ports that are taken.
    pub(crate) errors: Vec<String>,
}

/// Gives host ports to the workloads of `config`, the explicit ones first.
pub(crate) fn host_ports(config: &Config, is_free: impl Fn(u16) -> bool) -> HostPorts {
    let mut ports = HostPorts::default();
    let listened: Vec<u16> = config
        .workloads
        .values()
        .flat_map(Workload::listens)
        .collect();
    for (name, workload) in &config.workloads {
        let main = match workload.host_port {
            HostPort::Exactly(port) => Some(port),
            HostPort::IfFree(_) | HostPort::None => None,
        };
        let further = workload.ports.iter();
        let further = further.filter_map(|it| Some((it.host_port?, it.port)));
        for (port, service) in main.zip(workload.port).into_iter().chain(further) {
            if is_free(port) {
                let service = authority(&workload.service, &config.namespace, service);
                ports.services.insert(port, service);
            } else {
                ports.errors.push(format!(
                    "{}: the host port {port} of workload `{name}` is taken by another process; \
                     choose another `host_port`, or `false` for none",
                    workload.place
                ));
            }
        }
    }
    for (name, workload) in &config.workloads {
        let (HostPort::IfFree(port), Some(service)) = (workload.host_port, workload.port) else {
            continue;
        };
        let taken_by = if ports.services.contains_key(&port) {
            Some("another workload")
        } else if listened.contains(&port) {
            Some("a workload that listens there")
        } else if is_free(port) {
            None
        } else {
            Some("another process")
        };
        match taken_by {
            None => {
                let service = authority(&workload.service, &config.namespace, service);
                ports.services.insert(port, service);
            }
            Some(who) => ports.notes.push(format!(
                "{name} has no port on the host: {port} is taken by {who}; `host_port` sets another"
            )),
        }
    }
    ports
}
