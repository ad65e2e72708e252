//! `mesh redirect`: the rules of a firewall.

use anyhow::{Result, bail};
use std::{
    fs,
    io::{self, Write as _},
    process::ExitCode,
};

/// Redirect all TCP connections of this network namespace to a sidecar, as `mesh-init` does
///
/// It is for the network namespace of a pod. `mesh up --transparent` does the same for each of its
/// replicas by itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh redirect --dry-run --proxy-uid 2102\n  mesh redirect --undo"
)]
pub(crate) struct Args {
    #[command(flatten)]
    init: mesh_init::Args,
    /// Remove the rules instead
    #[arg(long, conflicts_with = "dry_run")]
    undo: bool,
    /// Redirect even if this is the network namespace of the whole machine, which cuts it off unless a
    /// sidecar listens
    #[arg(long)]
    yes_this_namespace: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.undo {
        let removed = mesh_init::undo(&args.init)?;
        let said = match removed {
            true => "the redirections of this network namespace are removed",
            false => "this network namespace has no redirections of a mesh",
        };
        writeln!(io::stdout(), "{said}")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.init.dry_run && !args.yes_this_namespace && is_machines_own() {
        bail!(
            "this is the network namespace of the whole machine: redirecting all of its TCP \
             connections cuts it off unless a sidecar listens; run this in the namespace of a pod, use \
             `mesh up --transparent`, or say --yes-this-namespace (`mesh redirect --undo` takes it back)"
        );
    }
    mesh_init::run(&args.init)?;
    if !args.init.dry_run {
        writeln!(
            io::stdout(),
            "TCP connections of this network namespace are redirected: incoming ones to port {}, \
             outgoing ones to port {}; `mesh redirect --undo` takes it back",
            args.init.incoming_proxy_port,
            args.init.outgoing_proxy_port
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns true if this process shares its network namespace with the machine's first process, or if
/// that is unknown. Where the first process does not show its namespace, the next older one does.
fn is_machines_own() -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut pids: Vec<_> = pids.filter(|pid| *pid != std::process::id()).collect();
    pids.sort_unstable();
    let mut namespaces = pids.iter().filter_map(|pid| namespace(&pid.to_string()));
    match (namespace("self"), namespaces.next()) {
        (Some(own), Some(first)) => own == first,
        _ => true,
    }
}
