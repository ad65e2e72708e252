//! `mesh down`.

use crate::{args::Global, client::Client, process_id::ProcessId};
use anyhow::{Result, bail};
use std::{process::ExitCode, time::Duration};
use tokio::time::{Instant, sleep};

/// Longer than the supervisor gives itself.
const LIMIT: Duration = Duration::from_secs(10);

/// Stop the running mesh and everything it started
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh down")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, global: &Global) -> Result<ExitCode> {
    let client = Client::supervisor(global)?;
    let status = client.down().await?;
    let supervisor = ProcessId::of(status.pid);
    let give_up = Instant::now() + LIMIT;
    while supervisor.is_some_and(ProcessId::is_alive) {
        if Instant::now() > give_up {
            bail!(
                "the mesh (process {}) has not ended within {LIMIT:?}",
                status.pid
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(ExitCode::SUCCESS)
}
