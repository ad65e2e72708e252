//! `mesh run`: a program that a terminal looks after, with a sidecar that the mesh does.

use super::{
    board::{Pod, Sidecar},
    config::Upstream,
    enter::Within,
    keep::{Kept, Status},
    network,
    plan::{self, MeshSettings, ReplicaPorts, loopback},
    ports::Ports,
    process::Spec,
    ready::Probe,
    replica,
    supervisor::Supervisor,
    transparent,
};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// Drain limit of the sidecar after its program has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Request of `mesh run`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunRequest {
    /// The workload.
    pub(crate) name: String,
    /// The name of its service, if it is not its own.
    #[serde(default)]
    pub(crate) service: Option<String>,
    /// Its service port.
    pub(crate) port: Option<u16>,
    /// Where the program insists on listening.
    pub(crate) listen: Option<u16>,
    /// The process, for `mesh ps`.
    pub(crate) pid: u32,
}

impl RunRequest {
    /// The name of its service, if it has a port.
    pub(crate) fn service(&self) -> &str {
        self.service.as_deref().unwrap_or(&self.name)
    }

    /// Checks that this can be one more replica of the workload of its name, which serves `service`:
    /// all replicas of a workload serve the same.
    pub(crate) fn join(&self, service: Option<(&str, u16)>) -> Result<()> {
        let name = &self.name;
        let own = self.port.map(|port| (self.service(), port));
        if own == service {
            return Ok(());
        }
        let flags = |service: Option<(&str, u16)>| match service {
            Some((service, port)) => format!("with --service {service} --port {port}"),
            None => "without --port".to_owned(),
        };
        bail!(
            "`{name}` runs already, {}, and all of its replicas must be started the same way; this \
             one is {}: give it another --name",
            flags(service),
            flags(own),
        );
    }
}

/// Response to `mesh run`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunTicket {
    /// Name of the new replica.
    pub(crate) pod: String,
    pub(crate) workload: String,
    /// Environment variables of the program.
    pub(crate) env: BTreeMap<String, String>,
    /// Network of the program, if it has one of its own.
    #[serde(default)]
    pub(crate) within: Option<Within>,
}

/// Replicas of one name that `mesh run` started, by their number.
#[derive(Debug, Default)]
pub(crate) struct AdHoc(BTreeMap<u32, Replica>);

#[derive(Debug)]
pub(crate) struct Replica {
    ports: ReplicaPorts,
    network: Option<Arc<network::Pod>>,
    sidecar: Kept,
    link: JoinHandle<()>,
}

impl Replica {
    pub(crate) async fn stop(self, drain: Duration) {
        self.link.abort();
        self.sidecar.stop(drain).await;
    }
}

impl AdHoc {
    pub(crate) fn into_replicas(self) -> impl Iterator<Item = Replica> {
        self.0.into_values()
    }
}

/// Everything about a new replica that depends on where it is: on this machine's loopback, or in a
/// network of its own.
pub(super) struct Placed {
    pub(super) ports: ReplicaPorts,
    pub(super) network: Option<Arc<network::Pod>>,
    pub(super) sidecar: Spec,
    pub(super) sidecar_probe: Probe,
    pub(super) program_probe: Probe,
    /// Where the program listens, as others find it.
    pub(super) app: Option<SocketAddr>,
    pub(super) entry: Sidecar,
    pub(super) env: BTreeMap<String, String>,
    /// Where the program is started.
    pub(super) within: Option<Within>,
}

/// Starts the sidecar, and returns how the program finds it.
pub(crate) fn start(supervisor: &mut Supervisor, request: &RunRequest) -> Result<RunTicket> {
    let service = request.service().to_owned();
    let RunRequest {
        name, port, pid, ..
    } = request.clone();
    let known = supervisor.adhoc.entry(name.clone()).or_default();
    let index = (0..)
        .find(|index| !known.0.contains_key(index))
        .unwrap_or(0);
    let pod = format!("{name}-{index}");
    let placed = match &mut supervisor.network {
        Some(network) => {
            let network = network.pod(&pod)?;
            transparent::ad_hoc(&supervisor.settings, request, &pod, network)
        }
        None => {
            let ports = choose_ports(request, &mut supervisor.ports)?;
            on_loopback(&supervisor.settings, request, &pod, ports)
        }
    };
    let context = supervisor.context.clone();
    let sidecar = replica::sidecar(&pod, &placed.sidecar, placed.sidecar_probe, &context);
    context.board.declare(&name, &service, port, &[]);
    supervisor.address(&name, &service, port)?;
    context.board.add(
        &name,
        &pod,
        &placed.entry,
        Pod {
            program: None,
            sidecar: sidecar.status(),
            app: placed.app,
        },
    );
    let link = tokio::spawn(link(
        context,
        (name.clone(), pod.clone(), pid),
        sidecar.status(),
        placed.program_probe,
    ));
    let replica = Replica {
        ports: placed.ports,
        network: placed.network,
        sidecar,
        link,
    };
    let known = supervisor.adhoc.entry(name.clone()).or_default();
    known.0.insert(index, replica);
    Ok(RunTicket {
        pod,
        workload: name,
        env: placed.env,
        within: placed.within,
    })
}

fn choose_ports(request: &RunRequest, ports: &mut Ports) -> Result<ReplicaPorts> {
    Ok(ReplicaPorts {
        app: match (request.port, request.listen) {
            (None, _) => None,
            (_, Some(listen)) => Some(listen),
            (Some(_), None) => Some(ports.next()?),
        },
        inbound: request.port.map(|_| ports.next()).transpose()?,
        outbound: ports.next()?,
        admin: ports.next()?,
        further: Vec::new(),
        upstreams: Vec::new(),
    })
}

fn on_loopback(
    settings: &MeshSettings,
    request: &RunRequest,
    pod: &str,
    ports: ReplicaPorts,
) -> Placed {
    let upstreams: BTreeMap<String, Upstream> = BTreeMap::new();
    let app = ports.app.map(loopback);
    Placed {
        network: None,
        sidecar: plan::plain_sidecar(settings, &request.name, pod, &upstreams, &ports),
        sidecar_probe: plan::ready(loopback(ports.admin)),
        program_probe: app.map_or(Probe::Running, Probe::Accepts),
        app,
        entry: Sidecar {
            inbound: ports.inbound.map(loopback),
            admin: loopback(ports.admin),
            opaque: false,
            further: Vec::new(),
            revision: None,
        },
        env: plan::environment(settings, &upstreams, &ports),
        within: None,
        ports,
    }
}

/// Takes the program of `ticket` out of the mesh.
pub(crate) async fn end(supervisor: &mut Supervisor, ticket: &RunTicket) {
    let RunTicket { pod, workload, .. } = ticket;
    let Some(known) = supervisor.adhoc.get_mut(workload) else {
        return;
    };
    let index = pod.rsplit_once('-').and_then(|(_, it)| it.parse().ok());
    let Some(replica) = index.and_then(|index: u32| known.0.remove(&index)) else {
        return;
    };
    let is_last = known.0.is_empty();
    supervisor.release_place(&replica.ports, replica.network.as_deref());
    let board = &supervisor.context.board;
    board.update(workload, pod, |it| it.draining = true);
    replica.stop(DRAIN).await;
    board.remove(workload, pod);
    if is_last {
        board.forget(workload);
        supervisor.adhoc.remove(workload);
    }
}

async fn link(
    context: replica::Context,
    (workload, pod, pid): (String, String, u32),
    mut sidecar: watch::Receiver<Status>,
    probe: Probe,
) {
    probe.passes(|_| {}).await;
    loop {
        let ready = sidecar.borrow_and_update().is_ready();
        context.board.update(&workload, &pod, |replica| {
            replica.ready = ready;
            replica.pid = Some(pid);
        });
        if sidecar.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_of_one_name_are_one_service() {
        let asked = |service: Option<&str>, port| RunRequest {
            name: "own".to_owned(),
            service: service.map(str::to_owned),
            port,
            listen: None,
            pid: 1,
        };
        let known = Some(("own", 80));
        asked(None, Some(80)).join(known).unwrap();
        asked(Some("own"), Some(80)).join(known).unwrap();
        asked(None, None).join(None).unwrap();
        for (asked, text) in [
            (
                asked(Some("other"), Some(80)),
                "`own` runs already, with --service own --port 80, and all of its replicas must be started the same way; this \
                 one is with --service other --port 80: give it another --name",
            ),
            (
                asked(None, Some(81)),
                "`own` runs already, with --service own --port 80, and all of its replicas must be started the same way; this \
                 one is with --service own --port 81: give it another --name",
            ),
            (
                asked(None, None),
                "`own` runs already, with --service own --port 80, and all of its replicas must be started the same way; this \
                 one is without --port: give it another --name",
            ),
        ] {
            assert_eq!(asked.join(known).unwrap_err().to_string(), text);
        }
        assert!(asked(None, Some(80)).join(None).is_err());
    }
}
