//! `mesh set`.

use super::scale;
use crate::{args::Global, client::Client, output::Refusal};
use anyhow::Result;
use clap::Subcommand;
use mesh_api::WorkloadChange;
use std::{collections::BTreeMap, process::ExitCode};

/// Change how a workload runs, until its file changes
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh set env workload/podinfo VERSION=1.7.1")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set environment variables, or remove them
    #[command(
        after_help = "Examples:\n  mesh set env workload/podinfo VERSION=1.7.1\n  \
                      mesh set env podinfo VERSION-"
    )]
    Env {
        /// The workload, as NAME, workload/NAME or deploy/NAME
        #[arg(value_name = "WORKLOAD")]
        workload: String,
        /// NAME=VALUE to set, NAME- to remove
        #[arg(required = true, value_name = "NAME=VALUE")]
        variables: Vec<String>,
    },
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let Command::Env {
        workload,
        variables,
    } = args.command;
    let env = variables.iter().map(|text| parse(text));
    let env: BTreeMap<_, _> = env.collect::<Result<_, _>>()?;
    let name = scale::name(workload.strip_prefix("workload/").unwrap_or(&workload))?;
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let change = WorkloadChange {
        env,
        ..WorkloadChange::default()
    };
    let done = client.change_workload(&namespace, &name, &change).await?;
    for (variable, value) in done.env {
        match value {
            Some(value) => println!("{name}: {variable} set to {value}"),
            None => println!("{name}: {variable} removed"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(text: &str) -> Result<(String, Option<String>), Refusal> {
    let variable = match text.split_once('=') {
        Some((name, value)) => Some((name, Some(value.to_owned()))),
        None => text.strip_suffix('-').map(|name| (name, None)),
    };
    match variable {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value)),
        _ => Err(Refusal::Usage(format!(
            "`{text}` is neither NAME=VALUE nor NAME-"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_or_removed() {
        let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        assert_eq!(parse("A=b"), Ok(set("A", "b")));
        assert_eq!(parse("A=b=c-"), Ok(set("A", "b=c-")));
        assert_eq!(parse("A="), Ok(set("A", "")));
        assert_eq!(parse("A-"), Ok(("A".to_owned(), None)));
        for wrong in ["A", "=b", "-", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
