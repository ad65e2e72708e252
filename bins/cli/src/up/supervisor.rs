//! The mesh as a whole: starts it, changes it while it runs, stops it.

use super::{
    adhoc::{AdHoc, RunRequest, RunTicket},
    board::Board,
    config::{Config, Workload},
    gateway::Gateway,
    keep::{Job, Kept},
    logs::Logs,
    manifests,
    network::Network,
    order,
    plan::{self, MeshSettings},
    ports::{self, Ports},
    preflight,
    primary::Primaries,
    ready::Probe,
    record::Record,
    replica::{Context, Pace},
    rollout::Deployed,
    warnings,
};
use crate::client::Client;
use anyhow::{Result, bail};
use mesh_controller::StateDir;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::{task::JoinSet, time::timeout};

/// Limit for the controller to become ready.
const CONTROLLER: Duration = Duration::from_secs(20);
/// Most replicas that a line about progress names.
const MAX_NAMES: usize = 5;
/// Grace period of the gateway and the controller when the mesh stops.
pub(super) const LAST: Duration = Duration::from_millis(800);

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) context: Context,
    pub(crate) settings: MeshSettings,
    pub(crate) ports: Ports,
    pub(crate) adhoc: BTreeMap<String, AdHoc>,
    state: StateDir,
    pub(super) config: Config,
    pub(super) workloads: BTreeMap<String, Deployed>,
    pub(super) primaries: Primaries,
    pub(super) gateway: Option<Gateway>,
    /// Which services have no port on the host, and why.
    notes: Vec<String>,
    controller: Kept,
    /// Address of the dashboard, and of the read-only API.
    pub(super) dashboard: SocketAddr,
    /// Network of the replicas; `None` unless each has a network namespace.
    pub(super) network: Option<Network>,
}

impl Supervisor {
    /// Starts the controller and everything in `config`, without waiting for it to be ready.
    ///
    /// Manifests are applied before any program starts.
    pub(crate) async fn start(
        config: Config,
        state: StateDir,
        logs: Logs,
        record: Record,
        board: Board,
    ) -> Result<Self> {
        let mut ports = Ports::new(std::process::id());
        let wanted = config
            .workloads
            .values()
            .flat_map(|it| it.listens().chain(it.port));
        ports.reserve_all(wanted);
        let network = match config.transparent {
            true => Some(Network::start(&state.run(), &config.namespace)?),
            false => None,
        };
        let (grpc, http) = (ports.next()?, ports.next()?);
        // Where every sidecar reaches it.
        let control = match &network {
            Some(network) => (network.host(), grpc).into(),
            None => plan::loopback(grpc),
        };
        let controller = Kept::start(
            Job {
                name: "controller".to_owned(),
                spec: plan::controller(&state.root().to_string_lossy(), control, http),
                probe: Probe::Socket(state.controller_socket(), "/api/v1/version".to_owned()),
                gate: Box::pin(std::future::ready(())),
                port: Some(grpc),
                expects: None,
            },
            &logs,
            &record,
        );
        let mut supervisor = Self {
            settings: MeshSettings {
                namespace: config.namespace.clone(),
                control,
                no_proxy: ["no_proxy", "NO_PROXY"]
                    .iter()
                    .find_map(|name| std::env::var(name).ok()),
            },
            context: Context {
                logs,
                record,
                board,
                controller: Client::controller_in(state.root()),
            },
            ports,
            adhoc: BTreeMap::new(),
            state,
            workloads: BTreeMap::new(),
            primaries: Primaries::default(),
            gateway: None,
            notes: Vec::new(),
            controller,
            dashboard: plan::loopback(http),
            network,
            config: Config {
                workloads: BTreeMap::new(),
                manifests: Vec::new(),
                ..config.clone()
            },
        };
        let started = supervisor.apply(config).await;
        match started {
            Ok(_) => Ok(supervisor),
            Err(error) => {
                supervisor.stop().await;
                Err(error)
            }
        }
    }

    /// Makes what runs what `config` asks for; says what that meant.
    ///
    /// Everything that can be refused is refused before anything is touched.
    pub(crate) async fn apply(&mut self, mut config: Config) -> Result<Vec<String>> {
        if config.namespace != self.config.namespace {
            bail!(
                "the mesh runs in the namespace `{}`; stop it with `mesh down` before starting \
                 it in `{}`",
                self.config.namespace,
                config.namespace
            );
        }
        let running = |target: &str| Some(self.workloads.get(target)?.replicas());
        self.primaries.complete(&mut config, running)?;
        for (name, workload) in &config.workloads {
            if self.adhoc.contains_key(name) {
                bail!("a `mesh run` has the name `{name}`; end it first");
            }
            let service = &workload.service;
            let owner = self.context.board.owner(service);
            if workload.port.is_some() && owner.is_some_and(|it| self.adhoc.contains_key(&it)) {
                bail!("a `mesh run` has the service `{service}`; end it first");
            }
        }
        preflight::check(&config)?;
        let served = self.gateway.as_ref().map(|it| it.services.clone());
        let served = served.unwrap_or_default();
        let host_ports = plan::host_ports(&config, |port| {
            served.contains_key(&port) || ports::is_free(port)
        });
        if let Some(error) = host_ports.errors.into_iter().next() {
            bail!(error);
        }
        let manifests = crate::manifest_files::read(&config.manifests)?;

        let mut changes = Vec::new();
        self.ports.reserve_all(host_ports.services.keys().copied());
        let listens = config.workloads.values().flat_map(Workload::listens);
        self.ports.reserve_all(listens);
        // Sidecars start while the controller does, unless there is something to apply first.
        if !manifests.is_empty() {
            self.controller_ready().await?;
            let run = self.state.run();
            let namespace = &self.config.namespace;
            let controller = &self.context.controller;
            let applied = manifests::apply(&manifests, &run, namespace, controller).await?;
            if applied > 0 {
                changes.push(format!("{applied} manifest files applied"));
            }
        }
        let gone: Vec<_> = self.workloads.keys().cloned().collect();
        for name in gone {
            if !config.workloads.contains_key(&name) {
                self.remove(&name).await;
                changes.push(format!("{name} stopped"));
            }
        }
        // In this order, what a replica waits for is on the board before it looks there.
        for name in in_order(&config) {
            let workload = config.workloads[&name].clone();
            if self.workloads.contains_key(&name) {
                changes.extend(self.update(&name, workload).await?);
            } else {
                self.deploy(&name, workload)?;
                changes.push(format!("{name} started"));
            }
        }
        if self.serve_host_ports(host_ports.services).await? {
            changes.push("host ports changed".to_owned());
        }
        self.notes = host_ports.notes;
        self.notes.extend(warnings::warnings(&config, &manifests));
        for note in &self.notes {
            self.context.logs.say(note);
        }
        self.primaries.follow(&config);
        self.config = config;
        Ok(changes)
    }

    async fn controller_ready(&self) -> Result<()> {
        let mut status = self.controller.status();
        let ready = timeout(CONTROLLER, status.wait_for(|it| it.is_ready())).await;
        if !matches!(ready, Ok(Ok(_))) {
            let tail = self.context.logs.tail("controller").join("; ");
            bail!("the controller does not start: {tail}");
        }
        Ok(())
    }

    /// Gives a program that somebody else starts a sidecar and a place in the mesh.
    pub(crate) fn run(&mut self, request: &RunRequest) -> Result<RunTicket> {
        if self.workloads.contains_key(&request.name) {
            bail!(
                "there is a workload `{}` already; choose another --name",
                request.name
            );
        }
        let service = request.service();
        let owner = self.context.board.owner(service);
        if request.port.is_some() && owner.is_some_and(|it| it != request.name) {
            bail!("there is a service `{service}` already; choose another --service");
        }
        if self.adhoc.contains_key(&request.name) {
            let known = self.context.board.service(&request.name);
            request.join(known.as_ref().map(|(service, port)| (&**service, *port)))?;
        }
        super::adhoc::start(self, request)
    }

    /// Returns true if every started process is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let controller = self.controller.status().borrow().is_ready();
        let gateway = self.gateway.as_ref();
        let gateway = gateway.is_none_or(|it| it.kept.status().borrow().is_ready());
        let mut names = self.workloads.keys();
        controller && gateway && names.all(|name| self.context.board.is_ready(name))
    }

    /// Returns a line that says how many replicas are ready and which are not, with their states.
    pub(crate) fn progress(&self) -> String {
        let rows = self.context.board.rows();
        let waiting = rows.iter().filter(|row| row.state != "ready");
        let mut names: Vec<_> = waiting
            .map(|row| format!("{} ({})", row.name, row.state))
            .collect();
        let ready = rows.len() - names.len();
        if names.is_empty() {
            names.push("the controller and the gateway".to_owned());
        }
        let more = names.len().saturating_sub(MAX_NAMES);
        names.truncate(MAX_NAMES);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let all = rows.len();
        format!(
            "ready {ready} of {all}; waiting for {}{more}",
            names.join(", ")
        )
    }

    /// Returns a receiver that notifies of changes of [`is_ready`](Self::is_ready).
    ///
    /// A change from now on: what was asked before on this thread, without an await in between,
    /// has seen all others. (The receivers are clones of ones that never look, and would call
    /// everything since the start a change, for ever.)
    pub(crate) async fn changed(&self) {
        let mut board = self.context.board.changes();
        let mut controller = self.controller.status();
        controller.mark_unchanged();
        let gateway = self.gateway.as_ref().map(|it| it.kept.status());
        let gateway = async {
            match gateway {
                Some(mut gateway) => {
                    gateway.mark_unchanged();
                    gateway.changed().await.is_ok()
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = board.changed() => {}
            _ = controller.changed() => {}
            _ = gateway => {}
        }
    }

    /// The namespace, and the file it is all about.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A line for each service that has none although it would, and why.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Ends everything, in time for a person who waits.
    pub(crate) async fn stop(self) {
        let mut stopping = JoinSet::new();
        if let Some(gateway) = self.gateway {
            stopping.spawn(gateway.kept.stop(LAST));
        }
        for deployed in self.workloads.into_values() {
            for running in deployed.replicas {
                let context = self.context.clone();
                stopping.spawn(async move { running.stop(Pace::ALL, &context).await });
            }
        }
        for adhoc in self.adhoc.into_values() {
            for replica in adhoc.into_replicas() {
                stopping.spawn(replica.stop(LAST));
            }
        }
        stopping.join_all().await;
        self.controller.stop(LAST).await;
    }
}

/// The workloads, each after what it depends on.
fn in_order(config: &Config) -> Vec<String> {
    let edges = config.workloads.iter().map(|(name, workload)| {
        let on = workload.depends_on.iter().map(String::as_str);
        (name.as_str(), on.collect())
    });
    // A circle was refused when the file was read.
    let sorted =
        order::sort(&edges.collect()).map(|names| names.into_iter().map(str::to_owned).collect());
    sorted.unwrap_or_default()
}
