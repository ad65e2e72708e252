//! One replica: a program and its sidecar, started and stopped in the right order.

use super::{
    board::{Board, Pod},
    keep::{Job, Kept, Status},
    logs::Logs,
    network,
    plan::ReplicaPlan,
    process::Spec,
    ready::Probe,
    record::Record,
};
use crate::client::Client;
use mesh_api::{Destination, DestinationRequest};
use serde::de::IgnoredAny;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Services that all replicas share.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) logs: Logs,
    pub(crate) record: Record,
    pub(crate) board: Board,
    pub(crate) controller: Client,
}

/// Time limits of the steps of stopping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// For the controller to tell every sidecar that an endpoint is gone.
    pub(crate) withdraw: Duration,
    /// For the sidecars of callers to act on it.
    pub(crate) settle: Duration,
    /// For the sidecar to finish what is in flight.
    pub(crate) drain: Duration,
    /// For the program, after SIGTERM.
    pub(crate) grace: Duration,
}

impl Pace {
    /// One replica of a mesh that goes on.
    pub(crate) const CAREFUL: Self = Self {
        withdraw: Duration::from_secs(2),
        // A caller that is late is refused, and offers its request to another replica.
        settle: Duration::ZERO,
        drain: super::plan::DRAIN,
        grace: Duration::from_secs(10),
    };
    /// The last replicas of a service in a mesh that goes on: a caller that is late has no other.
    pub(crate) const LAST: Self = Self {
        settle: Duration::from_secs(1),
        ..Self::CAREFUL
    };
    /// All of them: together with the rest, under the 5 s that a Ctrl-C may take.
    pub(crate) const ALL: Self = Self {
        withdraw: Duration::from_millis(300),
        settle: Duration::ZERO,
        drain: Duration::from_millis(1000),
        grace: Duration::from_millis(1500),
    };
}

/// A replica whose program ended this often, before it was ready, is a failure.
pub(crate) const FAILURES: u32 = 3;

/// A running replica. Dropping it ends its processes, without care.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) plan: ReplicaPlan,
    sidecar: Kept,
    program: Kept,
    link: JoinHandle<()>,
    /// Its network, which ends with it.
    pub(crate) network: Option<Arc<network::Pod>>,
}

impl Running {
    /// Starts the sidecar at once, and the program when `depends_on` is ready.
    pub(crate) fn start(
        plan: ReplicaPlan,
        network: Option<Arc<network::Pod>>,
        depends_on: Vec<String>,
        context: &Context,
    ) -> Self {
        let Context {
            logs,
            record,
            board,
            ..
        } = context;
        let sidecar = sidecar(
            &plan.pod,
            &plan.sidecar,
            plan.sidecar_probe.clone(),
            context,
        );
        let mut sidecar_status = sidecar.status();
        let gate = {
            let board = board.clone();
            async move {
                // The program's first call may come at once, and goes through the sidecar.
                let _ = sidecar_status.wait_for(Status::is_ready).await;
                for name in &depends_on {
                    board.ready(name).await;
                }
            }
        };
        let program = Kept::start(
            Job {
                name: plan.pod.clone(),
                spec: plan.program.clone(),
                probe: plan.program_probe.clone(),
                gate: Box::pin(gate),
                port: plan.ports.app,
                expects: plan.expects,
            },
            logs,
            record,
        );
        board.add(
            &plan.workload,
            &plan.pod,
            &plan.entry,
            Pod {
                program: Some(program.status()),
                sidecar: sidecar.status(),
                app: plan.app,
            },
        );
        let link = tokio::spawn(link(
            board.clone(),
            plan.workload.clone(),
            plan.pod.clone(),
            sidecar.status(),
            program.status(),
        ));
        Self {
            plan,
            sidecar,
            program,
            link,
            network,
        }
    }

    /// Waits until the program has ended so often that there is no use in waiting for it.
    pub(crate) async fn keeps_ending(&self) {
        let mut program = self.program.status();
        let _ = program.wait_for(|it| it.restarts >= FAILURES).await;
    }

    /// Stops so that nobody loses a request: no new ones, finish those there are, then end.
    pub(crate) async fn stop(self, pace: Pace, context: &Context) {
        let ReplicaPlan { workload, pod, .. } = &self.plan;
        context
            .board
            .update(workload, pod, |replica| replica.draining = true);
        if let (Some(service), Some(inbound)) = (&self.plan.service, self.plan.entry.inbound) {
            let withdrawn = withdrawn(&context.controller, service, inbound);
            let _ = timeout(pace.withdraw, withdrawn).await;
            sleep(pace.settle).await;
            self.sidecar.stop(pace.drain).await;
            self.program.stop(pace.grace).await;
        } else {
            // It only calls: its calls need the sidecar to the end.
            self.program.stop(pace.grace).await;
            self.sidecar.stop(pace.drain).await;
        }
        self.link.abort();
        context.board.remove(workload, pod);
    }
}

/// Keeps the sidecar of `pod` running.
pub(crate) fn sidecar(pod: &str, spec: &Spec, probe: Probe, of: &Context) -> Kept {
    let port = match &probe {
        Probe::Http(admin, _) => Some(admin.port()),
        _ => None,
    };
    Kept::start(
        Job {
            name: format!("{pod}/proxy"),
            spec: spec.clone(),
            probe,
            gate: Box::pin(std::future::ready(())),
            port,
            expects: None,
        },
        &of.logs,
        &of.record,
    )
}

/// Publishes on the board whether both processes are ready.
pub(crate) async fn link(
    board: Board,
    workload: String,
    pod: String,
    mut sidecar: watch::Receiver<Status>,
    mut program: watch::Receiver<Status>,
) {
    loop {
        let (ready, pid) = {
            let sidecar = sidecar.borrow_and_update();
            let program = program.borrow_and_update();
            (sidecar.is_ready() && program.is_ready(), program.pid)
        };
        board.update(&workload, &pod, |replica| {
            replica.ready = ready;
            replica.pid = pid;
        });
        let changed = tokio::select! {
            changed = sidecar.changed() => changed,
            changed = program.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Waits until the controller tells sidecars no more that `endpoint` is one of `service`.
async fn withdrawn(controller: &Client, service: &str, endpoint: SocketAddr) {
    let is_endpoint = |destination: Destination<IgnoredAny>| {
        let endpoints = destination.leaves.iter().flat_map(|leaf| &leaf.endpoints);
        endpoints.map(|it| it.addr).any(|addr| addr == endpoint)
    };
    let request = DestinationRequest {
        authority: service.to_owned(),
        ..DestinationRequest::default()
    };
    loop {
        let answer = controller.destination(&request).await;
        if answer.is_ok_and(|destination| !is_endpoint(destination)) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
