//! `mesh scale`.

use crate::{args::Global, client::Client, output::Refusal};
use anyhow::Result;
use mesh_api::{Kind, Resource, WorkloadChange};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Change how many replicas of a workload run, or which revision
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh scale authors --replicas 3\n  \
    mesh scale deploy/authors --revision v2")]
pub(crate) struct Args {
    /// The workload, as NAME or deploy/NAME
    #[arg(value_name = "WORKLOAD")]
    workload: String,

    /// Number of replicas
    #[arg(long, value_name = "N", required_unless_present = "revision")]
    replicas: Option<u32>,

    /// Revision: replaces the replicas one after the other, with MESH_REVISION in their environment
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let name = name(&args.workload)?;
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let change = WorkloadChange {
        replicas: args.replicas,
        revision: args.revision,
        ..WorkloadChange::default()
    };
    let done = client.change_workload(&namespace, &name, &change).await?;
    let mut out = io::stdout().lock();
    if let Some(revision) = done.revision {
        writeln!(out, "{name} runs revision {revision}")?;
    }
    if let Some(replicas) = done.replicas {
        writeln!(out, "{name} scaled to {replicas}")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn name(workload: &str) -> Result<String, Refusal> {
    if !workload.contains('/') {
        return Ok(workload.to_owned());
    }
    let resource: Resource = workload.parse().map_err(|_| refusal(workload))?;
    match resource {
        Resource {
            kind: Kind::Deployment,
            name: Some(name),
        } => Ok(name),
        _ => Err(refusal(workload)),
    }
}

fn refusal(workload: &str) -> Refusal {
    Refusal::Usage(format!(
        "{workload} is no workload: name it as NAME or deploy/NAME"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_named_with_its_kind_or_without() {
        for (text, expected) in [
            ("web", Some("web")),
            ("deploy/web", Some("web")),
            ("po/web-0", None),
            ("x/web", None),
        ] {
            assert_eq!(name(text).ok().as_deref(), expected, "{text}");
        }
    }
}
