//! `mesh fault`: failures on purpose, in the sidecars of clients.

mod add;

use crate::{
    args::Global,
    client::Client,
    output::{Align, Format, Refusal, Table, cell, json},
};
use anyhow::Result;
use mesh_api::Fault;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// Inject failures into requests, to see what they do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    mesh fault add svc/books --route 'GET /books/{id}.json' --percent 10 --status 503\n  \
    mesh fault list\n  mesh fault remove 1")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true)]
enum Action {
    Add(add::Args),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Print the faults that are injected now
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh fault list")]
struct ListArgs {
    /// Output format: table or json.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

/// End faults before their time
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh fault remove 1\n  mesh fault remove --all")]
struct RemoveArgs {
    /// The numbers of the faults
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    ids: Vec<u64>,
    /// End all faults
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    match args.action {
        Action::Add(args) => add::run(args, global).await,
        Action::List(args) => list(&args, global).await,
        Action::Remove(args) => remove(args, global).await,
    }
}

async fn list(args: &ListArgs, global: &Global) -> Result<ExitCode> {
    let format: Format = args.output.parse().map_err(Refusal::Usage)?;
    let faults = Client::find(global)?.faults().await?;
    if faults.is_empty() && format != Format::Json {
        eprintln!("No faults are injected.");
        return Ok(ExitCode::SUCCESS);
    }
    let text = match format {
        Format::Json => json(&faults)?,
        _ => table(&faults, now_ms()).to_string(),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(args: RemoveArgs, global: &Global) -> Result<ExitCode> {
    let client = Client::find(global)?;
    let mut ids = args.ids;
    if args.all {
        let faults = client.faults().await?;
        ids = faults.iter().map(|fault| fault.id).collect();
    }
    let mut out = io::stdout().lock();
    for id in ids {
        client.remove_fault(id).await?;
        writeln!(out, "fault {id} removed")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// The time until a fault ends, in whole seconds.
pub(crate) fn left(fault: &Fault, now_ms: u64) -> String {
    let seconds = fault.ends_ms.saturating_sub(now_ms).div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

fn table(faults: &[Fault], now_ms: u64) -> Table {
    let mut table = Table::new([
        ("ID", Align::Right),
        ("SERVICE", Align::Left),
        ("ROUTE", Align::Left),
        ("FROM", Align::Left),
        ("SHARE", Align::Right),
        ("FAULT", Align::Left),
        ("ENDS_IN", Align::Right),
    ]);
    for fault in faults {
        table.row([
            fault.id.to_string(),
            format!("{}.{}", fault.service, fault.namespace),
            cell(fault.route.clone(), |route| route),
            cell(fault.from.as_ref(), ToString::to_string),
            format!("{}%", fault.percent),
            fault.kind.to_string(),
            left(fault, now_ms),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_api::{FaultKind, Kind, Resource};

    #[test]
    fn a_fault_is_a_row_with_the_time_that_is_left() {
        let fault = Fault {
            id: 1,
            namespace: "shop".into(),
            service: "books".into(),
            route: Some("GET /".into()),
            percent: 12.5,
            kind: FaultKind::Status(503),
            from: Some(Resource::named(Kind::Deployment, "webapp")),
            ends_ms: 300_000,
        };
        let plain = Fault {
            id: 12,
            route: None,
            from: None,
            percent: 100.0,
            kind: FaultKind::Reset,
            ends_ms: 7_260_000,
            ..fault.clone()
        };
        assert_eq!(
            table(&[fault.clone(), plain], 500).to_string(),
            "ID   SERVICE      ROUTE   FROM            SHARE   FAULT        ENDS_IN\n \
             1   books.shop   GET /   deploy/webapp   12.5%   status 503      5m0s\n\
             12   books.shop   -       -                100%   reset           2h1m\n"
        );
        assert_eq!(left(&fault, 299_001), "1s");
        assert_eq!(left(&fault, 300_001), "0s");
    }

    #[test]
    fn all_faults_or_some_are_removed() {
        use crate::args::parsed;
        let removed = |line: &str| match parsed::<Args>(line).0.action {
            Action::Remove(args) => (args.ids, args.all),
            _ => panic!("{line}"),
        };
        assert_eq!(removed("remove 1 2"), (vec![1, 2], false));
        assert_eq!(removed("remove --all"), (vec![], true));
    }
}
