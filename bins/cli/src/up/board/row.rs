//! Replicas as `mesh ps` shows them.

use super::Pod;
use crate::client::supervisor::Row;
use mesh_controller::source::workloads::Replica;

pub(super) fn row(workload: &str, replica: &Replica, pod: &Pod) -> Row {
    let sidecar = pod.sidecar.borrow();
    let program = pod.program.as_ref().map(|it| it.borrow());
    let program_state = program.as_ref().map(|it| it.phase.as_str());
    let state = if replica.draining {
        "draining"
    } else if replica.ready {
        "ready"
    } else if !sidecar.is_ready() {
        sidecar.phase.as_str()
    } else {
        program_state.unwrap_or("starting")
    };
    let why = program.as_ref().and_then(|it| it.why.clone());
    Row {
        name: replica.pod.clone(),
        workload: workload.to_owned(),
        state: state.to_owned(),
        pid: replica.pid,
        restarts: program.as_ref().map_or(0, |it| it.restarts),
        app: pod.app.map(|addr| addr.to_string()),
        inbound: replica.inbound.map(|addr| addr.to_string()),
        admin: replica.admin.map(|addr| addr.to_string()),
        why: why.or_else(|| sidecar.why.clone().map(|why| format!("sidecar {why}"))),
    }
}

pub(super) fn index_of(pod: &str) -> u32 {
    let index = pod
        .rsplit_once('-')
        .and_then(|(_, index)| index.parse().ok());
    index.unwrap_or_default()
}
