//! Brings a workload from its running to its configured state: start, update, restart, remove.

use super::{
    api::{EnvRequest, RevisionRequest, ScaleRequest},
    config::{self, Workload},
    network,
    plan::{self, ReplicaPorts},
    program,
    replica::{Pace, Running},
    supervisor::Supervisor,
    transparent,
};
use anyhow::{Result, bail};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

/// Limit for a new replica to become ready; a rolling restart stops after it.
const REPLACEMENT: Duration = Duration::from_secs(30);

/// A workload of the file, and its replicas.
#[derive(Debug)]
pub(super) struct Deployed {
    workload: Workload,
    build: Vec<u64>,
    /// True if the last replacement failed, so that an old configuration still runs.
    outdated: bool,
    pub(super) replicas: Vec<Running>,
}

impl Deployed {
    /// Makes the next update replace all replicas.
    pub(super) fn set_outdated(&mut self) {
        self.outdated = true;
    }

    /// Returns the number of replicas that shall run.
    pub(super) fn replicas(&self) -> u32 {
        self.workload.replicas
    }

    /// Returns the lowest unused index. A restart may have left a gap.
    fn free_index(&self) -> u32 {
        let mut free = 0;
        while self.replicas.iter().any(|it| it.plan.index == free) {
            free += 1;
        }
        free
    }
}

impl Supervisor {
    /// Starts a workload.
    pub(super) fn deploy(&mut self, name: &str, workload: Workload) -> Result<()> {
        let mut deployed = Deployed {
            build: build_of(&workload),
            outdated: false,
            replicas: Vec::new(),
            workload,
        };
        let Workload { service, port, .. } = &deployed.workload;
        let further = further(&deployed.workload);
        self.context.board.declare(name, service, *port, &further);
        self.publish_template(name, &deployed.workload);
        self.address(name, service, *port)?;
        for _ in 0..deployed.workload.replicas {
            let index = deployed.free_index();
            let running = self.launch(name, &deployed.workload, index)?;
            deployed.replicas.push(running);
        }
        self.workloads.insert(name.to_owned(), deployed);
        Ok(())
    }

    fn launch(&mut self, name: &str, workload: &Workload, index: u32) -> Result<Running> {
        let depends_on = workload.depends_on.clone();
        let (plan, pod) = match &mut self.network {
            Some(network) => {
                let pod = network.pod(&format!("{name}-{index}"))?;
                let plan = transparent::replica(&self.settings, name, workload, index, &pod);
                (plan, Some(pod))
            }
            None => {
                let ports = ReplicaPorts::choose(workload, || self.ports.next())?;
                let plan = plan::replica(&self.settings, name, workload, index, ports);
                (plan, None)
            }
        };
        let running = Running::start(plan, pod, depends_on, &self.context);
        let template = self.primaries.remember(name, workload);
        let board = &self.context.board;
        board.update(name, &running.plan.pod, |replica| {
            replica.template = Some(template);
        });
        Ok(running)
    }

    /// Tells the controller which template the replicas of a workload shall run, and how many.
    fn publish_template(&mut self, name: &str, workload: &Workload) {
        let template = self.primaries.remember(name, workload);
        let board = &self.context.board;
        board.set_template(name, template, workload.replicas);
    }

    /// Assigns cluster addresses to a service in transparent mode.
    pub(super) fn address(&mut self, name: &str, service: &str, port: Option<u16>) -> Result<()> {
        if let (Some(network), Some(_)) = (&mut self.network, port) {
            let addresses = network.service(service)?;
            self.context.board.address(name, addresses);
        }
        Ok(())
    }

    /// Releases the ports and the network namespace of a replica.
    fn release(&mut self, running: &Running) {
        self.release_place(&running.plan.ports, running.network.as_deref());
    }

    /// Releases ports and a network namespace.
    pub(super) fn release_place(&mut self, ports: &ReplicaPorts, pod: Option<&network::Pod>) {
        self.ports.release(ports.all());
        if let (Some(network), Some(pod)) = (&mut self.network, pod) {
            network.release(pod);
        }
    }

    /// Stops all replicas of a workload and removes it.
    pub(super) async fn remove(&mut self, name: &str) {
        let Some(deployed) = self.workloads.remove(name) else {
            return;
        };
        let mut stopping = JoinSet::new();
        for running in deployed.replicas {
            self.release(&running);
            let context = self.context.clone();
            stopping.spawn(async move { running.stop(Pace::LAST, &context).await });
        }
        stopping.join_all().await;
        self.context.board.forget(name);
    }

    /// Updates a running workload to `workload`, and restarts replicas only if necessary.
    pub(super) async fn update(
        &mut self,
        name: &str,
        workload: Workload,
    ) -> Result<Option<String>> {
        // A file that changed is tried by the target of a primary first.
        let follows_file = !self.primaries.is_primary(name);
        let Some(deployed) = self.workloads.get_mut(name) else {
            return Ok(None);
        };
        let restart = deployed.outdated
            || plan::must_restart(&deployed.workload, &workload)
            || follows_file && deployed.build != build_of(&workload);
        let (before, after) = (deployed.workload.replicas, workload.replicas);
        deployed.workload = workload.clone();
        deployed.build = build_of(&workload);
        deployed.outdated = restart;
        let surplus = deployed
            .replicas
            .split_off(deployed.replicas.len().min(after as usize));
        let pace = if after == 0 {
            Pace::LAST
        } else {
            Pace::CAREFUL
        };
        for running in surplus {
            self.release(&running);
            running.stop(pace, &self.context).await;
        }
        let (service, further) = (&workload.service, further(&workload));
        let board = &self.context.board;
        board.declare(name, service, workload.port, &further);
        self.publish_template(name, &workload);
        self.address(name, &workload.service, workload.port)?;
        if restart {
            self.restart(name).await?;
            if let Some(deployed) = self.workloads.get_mut(name) {
                deployed.outdated = false;
            }
        }
        for _ in before..after {
            let index = self.workloads.get(name).map(Deployed::free_index);
            let running = self.launch(name, &workload, index.unwrap_or_default())?;
            if let Some(deployed) = self.workloads.get_mut(name) {
                deployed.replicas.push(running);
            }
        }
        Ok(match (restart, before == after) {
            (true, _) => Some(format!("{name} restarted")),
            (false, false) => Some(format!("{name} scaled from {before} to {after}")),
            (false, true) => None,
        })
    }

    /// Sets the number of replicas of a workload until its file changes.
    pub(super) async fn scale(&mut self, request: &ScaleRequest) -> Result<()> {
        let workload = self.declared(&request.namespace, &request.name)?;
        let workload = workload.scaled(&request.name, request.replicas)?;
        self.redeclare(&request.name, workload).await
    }

    /// Sets the revision of a workload until its file changes. The program reads the revision from
    /// its environment.
    pub(super) async fn set_revision(&mut self, request: &RevisionRequest) -> Result<()> {
        let mut workload = self.declared(&request.namespace, &request.name)?;
        let revision = request.revision.clone();
        workload.env.insert(config::REVISION.to_owned(), revision);
        self.redeclare(&request.name, workload).await
    }

    /// Sets or removes environment variables of a workload until its file changes.
    pub(super) async fn set_env(&mut self, request: &EnvRequest) -> Result<()> {
        let mut workload = self.declared(&request.namespace, &request.name)?;
        for (name, value) in &request.env {
            match value {
                Some(value) => workload.env.insert(name.clone(), value.clone()),
                None => workload.env.remove(name),
            };
        }
        self.redeclare(&request.name, workload).await
    }

    async fn redeclare(&mut self, name: &str, workload: Workload) -> Result<()> {
        self.config
            .workloads
            .insert(name.to_owned(), workload.clone());
        self.update(name, workload).await?;
        Ok(())
    }

    /// Returns the current configuration of a workload of the file.
    pub(super) fn declared(&self, namespace: &str, name: &str) -> Result<Workload> {
        if namespace != self.config.namespace {
            bail!("the mesh has no workloads in the namespace `{namespace}`");
        }
        match self.config.workloads.get(name) {
            Some(workload) => Ok(workload.clone()),
            None if self.adhoc.contains_key(name) => {
                bail!("`{name}` was started by `mesh run`; change it there")
            }
            None => {
                let hint = crate::output::did_you_mean(name, self.workloads.keys());
                bail!("there is no workload `{name}`{hint}");
            }
        }
    }

    /// Replaces the replicas of `name` one after the other.
    pub(crate) async fn restart(&mut self, name: &str) -> Result<()> {
        let count = match self.workloads.get(name) {
            Some(deployed) if self.can_overlap(deployed) => return self.replace_single(name).await,
            Some(deployed) => deployed.replicas.len(),
            None if self.adhoc.contains_key(name) => {
                bail!("`{name}` was started by `mesh run`; restart it there")
            }
            None => {
                let hint = crate::output::did_you_mean(name, self.workloads.keys());
                bail!("there is no workload `{name}`{hint}");
            }
        };
        for _ in 0..count {
            let Some(deployed) = self.workloads.get_mut(name) else {
                return Ok(());
            };
            let workload = deployed.workload.clone();
            let old = deployed.replicas.remove(0);
            let index = old.plan.index;
            self.release(&old);
            old.stop(Pace::CAREFUL, &self.context).await;
            let running = self.launch(name, &workload, index)?;
            let pod = running.plan.pod.clone();
            if let Some(deployed) = self.workloads.get_mut(name) {
                deployed.replicas.push(running);
            }
            let ready = self.context.board.ready_pod(name, &pod);
            if timeout(REPLACEMENT, ready).await.is_err() {
                let tail = self.context.logs.tail(&pod).join("; ");
                bail!("{pod} did not become ready; the other replicas keep running: {tail}");
            }
        }
        Ok(())
    }

    /// Returns true if the replacement should start before the old replica stops: a single replica
    /// that serves, with no fixed port that both would need. Workloads without a port may act on
    /// their own, so two of them must not run at once.
    fn can_overlap(&self, deployed: &Deployed) -> bool {
        let Deployed {
            workload, replicas, ..
        } = deployed;
        let has_port_of_its_own = workload.listens().next().is_none() || self.network.is_some();
        replicas.len() == 1 && workload.port.is_some() && has_port_of_its_own
    }

    /// Replaces the single replica of `name`: the replacement is ready before the old one stops.
    async fn replace_single(&mut self, name: &str) -> Result<()> {
        let Some(deployed) = self.workloads.get(name) else {
            return Ok(());
        };
        let (workload, index) = (deployed.workload.clone(), deployed.free_index());
        let replacement = self.launch(name, &workload, index)?;
        let pod = replacement.plan.pod.clone();
        let ready = timeout(REPLACEMENT, self.context.board.ready_pod(name, &pod));
        let is_ready = tokio::select! {
            ready = ready => ready.is_ok(),
            () = replacement.keeps_ending() => false,
        };
        if !is_ready {
            let tail = self.context.logs.tail(&pod).join("; ");
            self.release(&replacement);
            replacement.stop(Pace::ALL, &self.context).await;
            bail!("{pod} did not become ready; the old replica keeps running: {tail}");
        }
        if let Some(deployed) = self.workloads.get_mut(name) {
            let old: Vec<_> = deployed.replicas.drain(..).collect();
            deployed.replicas.push(replacement);
            for old in old {
                self.release(&old);
                old.stop(Pace::LAST, &self.context).await;
            }
        }
        Ok(())
    }
}

/// Returns the further service ports of a workload.
fn further(workload: &Workload) -> Vec<u16> {
    workload.ports.iter().map(|it| it.port).collect()
}

/// Returns the hashes of the files that a workload runs.
pub(super) fn build_of(workload: &Workload) -> Vec<u64> {
    let path = std::env::var_os("PATH");
    program::build(&workload.command, &workload.dir, path.as_deref())
}
