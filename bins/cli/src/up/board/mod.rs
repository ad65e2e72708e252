//! State of all running workloads, written to `workloads.json` for the controller and watched by
//! other tasks.

mod row;

#[cfg(test)]
mod tests;

use self::row::{index_of, row};
use super::{json, keep::Status, plan::loopback};
use crate::client::supervisor::Row;
use mesh_controller::source::workloads::{Gateway, Protocol, Replica, Served, Workload, Workloads};
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// The workloads of a running mesh, mirrored in `run/workloads.json`. Clones share.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    state: Mutex<BoardState>,
    /// The generation, for those who wait for a change.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct BoardState {
    file: Workloads,
    pods: BTreeMap<String, Pod>,
}

/// The processes of a replica, and where they are.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// None for a program that a `mesh run` looks after.
    pub(crate) program: Option<watch::Receiver<Status>>,
    pub(crate) sidecar: watch::Receiver<Status>,
    pub(crate) app: Option<SocketAddr>,
}

/// Entry of a sidecar in `workloads.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// Where it takes calls for its program.
    pub(crate) inbound: Option<SocketAddr>,
    /// Where it tells how it is doing.
    pub(crate) admin: SocketAddr,
    /// True if its program does not speak HTTP.
    pub(crate) opaque: bool,
    /// Where it takes calls for the further ports of the service.
    pub(crate) further: Vec<Serves>,
    /// The revision that its program runs, if it has a name.
    pub(crate) revision: Option<String>,
}

/// Where a sidecar takes calls for a further port of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serves {
    /// The port of the service.
    pub(crate) port: u16,
    pub(crate) inbound: SocketAddr,
    /// True if no HTTP is spoken there.
    pub(crate) opaque: bool,
}

impl Board {
    /// An empty board. Generations go on from those of the last mesh at `path`.
    pub(crate) fn new(path: PathBuf, namespace: &str) -> anyhow::Result<Self> {
        let last: Option<Workloads> = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let file = Workloads {
            generation: last.map_or(0, |last| last.generation) + 1,
            namespace: namespace.to_owned(),
            ..Workloads::default()
        };
        json::write(&path, &file)?;
        let (changed, _) = watch::channel(file.generation);
        Ok(Self(Arc::new(Inner {
            path,
            state: Mutex::new(BoardState {
                file,
                pods: BTreeMap::new(),
            }),
            changed,
        })))
    }

    /// Declares a workload, whose service is called `service` if it has a port, and may have
    /// `further` ports; its replicas come with [`add`](Self::add).
    pub(crate) fn declare(
        &self,
        name: &str,
        service: &str,
        service_port: Option<u16>,
        further: &[u16],
    ) {
        // The file says only what is not as usual.
        let service = Some(service).filter(|it| *it != name && service_port.is_some());
        self.edit(|state| {
            let namespace = state.file.namespace.clone();
            let workload = Workload {
                name: name.to_owned(),
                namespace,
                service: service.map(str::to_owned),
                service_port,
                further_ports: further.to_vec(),
                ..Workload::default()
            };
            match state.file.workloads.iter_mut().find(|it| it.name == name) {
                Some(old) => {
                    old.service = workload.service;
                    old.service_port = service_port;
                    old.further_ports = workload.further_ports;
                }
                None => state.file.workloads.push(workload),
            }
        });
    }

    /// The name and the port of the service of a workload, if it has one.
    pub(crate) fn service(&self, name: &str) -> Option<(String, u16)> {
        let mut state = self.state();
        let workload = state.workload(name)?;
        Some((workload.service()?.to_owned(), workload.service_port?))
    }

    /// Sets the template that the replicas of a workload shall run, and their number.
    pub(crate) fn set_template(&self, name: &str, template: String, desired: u32) {
        self.edit(|state| {
            if let Some(workload) = state.workload(name) {
                workload.template = Some(template);
                workload.desired = Some(desired);
            }
        });
    }

    /// Gives the service of a workload addresses.
    pub(crate) fn address(&self, name: &str, addresses: Vec<IpAddr>) {
        self.edit(|state| {
            if let Some(workload) = state.workload(name) {
                workload.addresses = addresses;
            }
        });
    }

    /// The workload that has the service `service`.
    pub(crate) fn owner(&self, service: &str) -> Option<String> {
        let state = self.state();
        let mut workloads = state.file.workloads.iter();
        let owner = workloads.find(|it| it.service() == Some(service))?;
        Some(owner.name.clone())
    }

    /// Forgets a workload and its replicas.
    pub(crate) fn forget(&self, name: &str) {
        self.edit(|state| state.file.workloads.retain(|it| it.name != name));
    }

    /// Adds a replica that is not ready yet.
    pub(crate) fn add(&self, workload: &str, pod: &str, sidecar: &Sidecar, of: Pod) {
        self.edit(|state| {
            let replica = Replica {
                pod: pod.to_owned(),
                inbound: sidecar.inbound,
                admin: Some(sidecar.admin),
                protocol: sidecar.opaque.then_some(Protocol::Opaque),
                revision: sidecar.revision.clone(),
                further: sidecar.further.iter().map(served).collect(),
                ..Replica::default()
            };
            if let Some(workload) = state.workload(workload) {
                workload.replicas.retain(|it| it.pod != pod);
                workload.replicas.push(replica);
                workload.replicas.sort_by_key(|it| index_of(&it.pod));
            }
            state.pods.insert(pod.to_owned(), of);
        });
    }

    /// Changes what is said of a replica.
    pub(crate) fn update(&self, workload: &str, pod: &str, change: impl FnOnce(&mut Replica)) {
        self.edit(|state| {
            let workload = state.workload(workload);
            let replicas = workload.map(|it| it.replicas.iter_mut());
            if let Some(replica) = replicas.into_iter().flatten().find(|it| it.pod == pod) {
                change(replica);
            }
        });
    }

    /// Removes a replica.
    pub(crate) fn remove(&self, workload: &str, pod: &str) {
        self.edit(|state| {
            if let Some(workload) = state.workload(workload) {
                workload.replicas.retain(|it| it.pod != pod);
            }
            state.pods.remove(pod);
        });
    }

    /// Sets the admin port of the gateway.
    pub(crate) fn set_gateway(&self, admin: Option<u16>) {
        self.edit(|state| {
            state.file.gateway = admin.map(|port| Gateway {
                admin: loopback(port),
            });
        });
    }

    /// Waits until every replica of `name` is ready, or there is no such workload.
    pub(crate) async fn ready(&self, name: &str) {
        let mut changed = self.0.changed.subscribe();
        while !self.is_ready(name) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the replica `pod` is ready, or gone.
    pub(crate) async fn ready_pod(&self, workload: &str, pod: &str) {
        let mut changed = self.0.changed.subscribe();
        let is_ready = || {
            let state = self.state();
            let workload = state.file.workloads.iter().find(|it| it.name == workload);
            let replicas = workload.map(|it| it.replicas.iter());
            let mut replicas = replicas.into_iter().flatten();
            replicas.find(|it| it.pod == pod).is_none_or(|it| it.ready)
        };
        while !is_ready() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns true if every replica of `name` is ready, or if there is no such workload.
    pub(crate) fn is_ready(&self, name: &str) -> bool {
        let state = self.state();
        let workload = state.file.workloads.iter().find(|it| it.name == name);
        workload.is_none_or(|workload| {
            let mut replicas = workload.replicas.iter();
            replicas.all(|replica| replica.ready && !replica.draining)
        })
    }

    /// Returns a receiver of the change counter.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// The replicas, as `mesh ps` shows them.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let state = self.state();
        let mut rows = Vec::new();
        for workload in &state.file.workloads {
            for replica in &workload.replicas {
                let Some(pod) = state.pods.get(&replica.pod) else {
                    continue;
                };
                rows.push(row(&workload.name, replica, pod));
            }
        }
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.workload.clone(), index_of(&row.name));
            key(a).cmp(&key(b))
        });
        rows
    }

    fn edit(&self, change: impl FnOnce(&mut BoardState)) {
        let mut state = self.state();
        let before = state.file.clone();
        change(&mut state);
        if state.file == before {
            return;
        }
        state.file.generation += 1;
        let generation = state.file.generation;
        let written = json::write(&self.0.path, &state.file);
        drop(state);
        if let Err(error) = written {
            eprintln!("{error:#}");
        }
        self.0.changed.send_replace(generation);
    }

    fn state(&self) -> MutexGuard<'_, BoardState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BoardState {
    fn workload(&mut self, name: &str) -> Option<&mut Workload> {
        self.file.workloads.iter_mut().find(|it| it.name == name)
    }
}

fn served(serves: &Serves) -> Served {
    Served {
        port: serves.port,
        inbound: serves.inbound,
        protocol: serves.opaque.then_some(Protocol::Opaque),
    }
}
