//! `mesh run`: a program that a terminal looks after, with a sidecar that the mesh does.

use super::{
    board::{Pod, Sidecar},
    config::Upstream,
    keep::{Kept, Status},
    plan::{self, ReplicaPorts, loopback},
    ready::Probe,
    replica,
    supervisor::Supervisor,
};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
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
}

/// Replicas of one name that `mesh run` started, by their number.
#[derive(Debug, Default)]
pub(crate) struct AdHoc(BTreeMap<u32, Replica>);

#[derive(Debug)]
pub(crate) struct Replica {
    ports: ReplicaPorts,
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

/// Starts the sidecar, and says how the program finds it.
pub(crate) fn start(supervisor: &mut Supervisor, request: RunRequest) -> Result<RunTicket> {
    let service = request.service().to_owned();
    let RunRequest {
        name,
        port,
        listen,
        pid,
        ..
    } = request;
    let upstreams: BTreeMap<String, Upstream> = BTreeMap::new();
    let mut next = || supervisor.ports.next();
    let ports = ReplicaPorts {
        app: match (port, listen) {
            (None, _) => None,
            (_, Some(listen)) => Some(listen),
            (Some(_), None) => Some(next()?),
        },
        inbound: port.map(|_| next()).transpose()?,
        outbound: next()?,
        admin: next()?,
        further: Vec::new(),
        upstreams: Vec::new(),
    };
    let known = supervisor.adhoc.entry(name.clone()).or_default();
    let index = (0..)
        .find(|index| !known.0.contains_key(index))
        .unwrap_or(0);
    let pod = format!("{name}-{index}");
    let context = &supervisor.context;
    let around = &supervisor.around;
    let spec = plan::plain_sidecar(around, &name, &pod, &upstreams, &ports);
    let sidecar = replica::sidecar(&pod, &spec, plan::ready(loopback(ports.admin)), context);
    context.board.declare(&name, &service, port, &[]);
    context.board.add(
        &name,
        &pod,
        &Sidecar {
            inbound: ports.inbound.map(loopback),
            admin: loopback(ports.admin),
            opaque: false,
            further: Vec::new(),
            revision: None,
        },
        Pod {
            program: None,
            sidecar: sidecar.status(),
            app: ports.app.map(loopback),
        },
    );
    let probe = ports
        .app
        .map_or(Probe::Running, |port| Probe::Accepts(loopback(port)));
    let link = tokio::spawn(link(
        context.clone(),
        (name.clone(), pod.clone(), pid),
        sidecar.status(),
        probe,
    ));
    let env = plan::environment(around, &upstreams, &ports);
    let replica = Replica {
        ports,
        sidecar,
        link,
    };
    known.0.insert(index, replica);
    Ok(RunTicket {
        pod,
        workload: name,
        env,
    })
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
    supervisor.ports.release(replica.ports.all());
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
