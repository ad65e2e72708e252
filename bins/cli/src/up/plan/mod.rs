//! From what was asked for to what is started: ports, environment, arguments. Pure functions.

mod ours;
mod ports;

pub(super) use ours::proxy;
pub(crate) use ours::{controller, gateway, plain_sidecar};
pub(crate) use ports::{ReplicaPorts, host_ports};

use super::{
    board::{Serves, Sidecar},
    config::{self, HostPort, Upstream, Workload},
    document::Form,
    keep::Expected,
    process::Spec,
    ready::Probe,
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// From SIGTERM to SIGKILL when `mesh up` itself is gone.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// Drain limit of a sidecar.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);
/// Hosts that programs reach without the mesh: this machine.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";
/// Name of the gateway in lists of workloads, as in `mesh edges`.
const GATEWAY: &str = mesh_controller::GATEWAY;
/// Every name in the mesh ends so, fully qualified.
const DOMAIN: &str = "svc.cluster.local";

/// One replica of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaPlan {
    /// Its name, as in `authors-0`.
    pub(crate) pod: String,
    pub(crate) workload: String,
    /// Its number among the replicas.
    pub(crate) index: u32,
    /// The service it is an endpoint of.
    pub(crate) service: Option<String>,
    /// Its own ports of this machine.
    pub(crate) ports: ReplicaPorts,
    /// Where its program listens, if it does.
    pub(crate) app: Option<SocketAddr>,
    /// The ports that are expected of its program, if it has any.
    pub(crate) expects: Option<Expected>,
    /// Entry of the replica in `workloads.json`.
    pub(crate) entry: Sidecar,
    pub(crate) program: Spec,
    pub(crate) program_probe: Probe,
    pub(crate) sidecar: Spec,
    pub(crate) sidecar_probe: Probe,
}

/// Settings that all replicas of a mesh share.
#[derive(Clone, Debug)]
pub(crate) struct MeshSettings {
    pub(crate) namespace: String,
    /// The controller's gRPC address.
    pub(crate) control: SocketAddr,
    /// `no_proxy` of the environment of `mesh up`.
    pub(crate) no_proxy: Option<String>,
}

/// Plans replica `index` of the workload `name`.
pub(crate) fn replica(
    settings: &MeshSettings,
    name: &str,
    workload: &Workload,
    index: u32,
    ports: ReplicaPorts,
) -> ReplicaPlan {
    let pod = format!("{name}-{index}");
    let mut env = environment(settings, &workload.upstreams, &ports);
    let further = ports.further.iter().map(|it| it.app);
    name_ports(&mut env, workload, ports.app, further);
    env.extend(workload.env.clone());
    let program_probe = match (ports.app, &workload.ready) {
        (Some(port), Some(path)) => Probe::Http(loopback(port), path.clone()),
        (Some(port), None) => Probe::Accepts(loopback(port)),
        (None, _) => Probe::Running,
    };
    ReplicaPlan {
        workload: name.to_owned(),
        index,
        service: workload
            .port
            .map(|port| authority(&workload.service, &settings.namespace, port)),
        program: Spec::Program {
            command: workload.command.clone(),
            dir: workload.dir.clone(),
            env: env.into_iter().collect(),
            stdin: workload.stdin,
            grace: GRACE,
            within: None,
        },
        program_probe,
        sidecar: ours::sidecar(settings, name, &pod, workload, &ports),
        sidecar_probe: ready(loopback(ports.admin)),
        app: ports.app.map(loopback),
        expects: expected(ports.app, workload),
        entry: Sidecar {
            inbound: ports.inbound.map(loopback),
            admin: loopback(ports.admin),
            opaque: workload.opaque,
            further: workload
                .ports
                .iter()
                .zip(&ports.further)
                .map(|(port, own)| Serves {
                    port: port.port,
                    inbound: loopback(own.inbound),
                    opaque: port.opaque,
                })
                .collect(),
            revision: workload.revision(),
        },
        ports,
        pod,
    }
}

/// Returns the ports that are expected of a program that listens on `app`.
pub(super) fn expected(app: Option<u16>, workload: &Workload) -> Option<Expected> {
    let (listen, service) = app.zip(workload.port)?;
    Some(Expected { listen, service })
}

/// Returns the readiness probe of the sidecar with the admin listener `admin`.
pub(crate) fn ready(admin: SocketAddr) -> Probe {
    Probe::Http(admin, "/ready".to_owned())
}

/// Builds the environment of a program.
pub(crate) fn environment(
    settings: &MeshSettings,
    upstreams: &BTreeMap<String, Upstream>,
    ports: &ReplicaPorts,
) -> BTreeMap<String, String> {
    let proxy = format!("http://{}", loopback(ports.outbound));
    let no_proxy = match settings.no_proxy.as_deref().map(str::trim) {
        Some(more) if !more.is_empty() => format!("{NO_PROXY},{more}"),
        _ => NO_PROXY.to_owned(),
    };
    // Programs differ in which case they read, and some read only one of the two.
    let mut env = BTreeMap::from([
        ("http_proxy".to_owned(), proxy.clone()),
        ("HTTP_PROXY".to_owned(), proxy),
        ("no_proxy".to_owned(), no_proxy.clone()),
        ("NO_PROXY".to_owned(), no_proxy),
    ]);
    if let Some(port) = ports.app {
        env.insert("PORT".to_owned(), port.to_string());
    }
    for ((variable, upstream), port) in upstreams.iter().zip(&ports.upstreams) {
        let value = match upstream.form {
            Form::Url => format!("http://{}", loopback(*port)),
            Form::HostPort => loopback(*port).to_string(),
        };
        env.insert(variable.clone(), value);
    }
    env
}

/// Tells a program by `PORT_NAME` where it listens for each port that has a name.
pub(super) fn name_ports(
    env: &mut BTreeMap<String, String>,
    workload: &Workload,
    main: Option<u16>,
    further: impl Iterator<Item = u16>,
) {
    if let (Some(name), Some(port)) = (&workload.port_name, main) {
        env.insert(config::variable(name), port.to_string());
    }
    for (port, listen) in workload.ports.iter().zip(further) {
        env.insert(config::variable(&port.name), listen.to_string());
    }
}

/// The full name of a service.
pub(crate) fn authority(name: &str, namespace: &str, port: u16) -> String {
    format!("{name}.{namespace}.{DOMAIN}:{port}")
}

/// Returns true if the change from `old` to `new` requires a restart of running replicas.
pub(crate) fn must_restart(old: &Workload, new: &Workload) -> bool {
    template(old) != template(new)
}

/// Returns the part of a workload that its running replicas depend on.
pub(super) fn template(workload: &Workload) -> Workload {
    Workload {
        host_port: HostPort::None,
        replicas: 0,
        depends_on: Vec::new(),
        place: String::new(),
        ..workload.clone()
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
#[cfg(test)]
mod tests;
