//! `mesh canary`.

use crate::{
    args::Global,
    client::Client,
    output::{Align, Format, NONE, Table, json},
};
use anyhow::Result;
use clap::Subcommand;
use mesh_api::{CanariesRequest, CanaryCheck, CanaryCommand, CanaryDetail, CanaryRow};
use mesh_tap::har::iso8601;
use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, UNIX_EPOCH},
};

/// Show canary releases, and steer them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh canary list\n  mesh canary abort podinfo")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List canary releases with their weights
    #[command(after_help = "Example:\n  mesh canary list -A")]
    List {
        /// Look at every namespace
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// Output format: table, wide or json
        #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
        output: String,
    },
    /// Show one canary release: its decisions with their numbers, and its events
    #[command(after_help = "Example:\n  mesh canary describe podinfo")]
    Describe {
        /// Name of the Canary
        name: String,
        /// Output format: table or json
        #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
        output: String,
    },
    /// Promote without further analysis, or open the gate that is waited for
    #[command(after_help = "Example:\n  mesh canary promote podinfo")]
    Promote {
        /// Name of the Canary
        name: String,
    },
    /// Roll back
    #[command(after_help = "Example:\n  mesh canary abort podinfo")]
    Abort {
        /// Name of the Canary
        name: String,
    },
    /// Stop the analysis where it is; the weights stay
    #[command(after_help = "Example:\n  mesh canary pause podinfo")]
    Pause {
        /// Name of the Canary
        name: String,
    },
    /// Let a paused analysis go on
    #[command(after_help = "Example:\n  mesh canary resume podinfo")]
    Resume {
        /// Name of the Canary
        name: String,
    },
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let text = match args.command {
        Command::List {
            all_namespaces,
            output,
        } => {
            let format = output
                .parse::<Format>()
                .map_err(crate::output::Refusal::from)?;
            let request = CanariesRequest {
                namespace: (!all_namespaces).then(|| namespace.clone()),
            };
            let rows = client.canaries(&request).await?;
            list(&rows, format, all_namespaces)?
        }
        Command::Describe { name, output } => {
            let format = output
                .parse::<Format>()
                .map_err(crate::output::Refusal::from)?;
            show(&client, &namespace, &name, format).await?
        }
        Command::Promote { name } => {
            tell(&client, &namespace, &name, CanaryCommand::Promote).await?
        }
        Command::Abort { name } => tell(&client, &namespace, &name, CanaryCommand::Abort).await?,
        Command::Pause { name } => tell(&client, &namespace, &name, CanaryCommand::Pause).await?,
        Command::Resume { name } => tell(&client, &namespace, &name, CanaryCommand::Resume).await?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Both `canary/podinfo` and `podinfo` name it.
fn plain(name: &str) -> &str {
    name.strip_prefix("canary/").unwrap_or(name)
}

/// Fetches and renders one Canary with its history.
pub(crate) async fn show(
    client: &Client,
    namespace: &str,
    name: &str,
    format: Format,
) -> Result<String> {
    let detail = client.canary(namespace, plain(name)).await?;
    match format {
        Format::Json => json(&detail),
        _ => Ok(describe(&detail)),
    }
}

async fn tell(
    client: &Client,
    namespace: &str,
    name: &str,
    command: CanaryCommand,
) -> Result<String> {
    let done = client
        .command_canary(namespace, plain(name), command)
        .await?;
    let done = match (done.events.is_empty(), command) {
        (false, _) => done.events,
        (true, CanaryCommand::Pause) => {
            vec!["paused: the weights stay until `mesh canary resume`".into()]
        }
        (true, CanaryCommand::Resume) => vec!["the analysis goes on".into()],
        (true, _) => vec!["accepted; `mesh canary describe` shows the progress".into()],
    };
    Ok(done.join("\n") + "\n")
}

fn list(rows: &[CanaryRow], format: Format, with_namespace: bool) -> Result<String> {
    if format == Format::Json {
        return json(&rows);
    }
    if rows.is_empty() {
        eprintln!("No canaries found.");
        return Ok(String::new());
    }
    let left = |name| (name, Align::Left);
    let mut columns = vec![];
    if with_namespace {
        columns.push(left("NAMESPACE"));
    }
    columns.extend([left("NAME"), left("STATUS"), ("WEIGHT", Align::Right)]);
    if format == Format::Wide {
        columns.extend([
            ("FAILEDCHECKS", Align::Right),
            left("SUSPENDED"),
            left("MESSAGE"),
        ]);
    }
    columns.push(left("LASTTRANSITIONTIME"));
    let mut table = Table::new(columns);
    for row in rows {
        let mut cells = vec![];
        if with_namespace {
            cells.push(row.namespace.clone());
        }
        cells.extend([row.name.clone(), row.phase.clone(), row.weight.to_string()]);
        if format == Format::Wide {
            cells.push(format!("{}/{}", row.failed_checks, row.threshold));
            cells.push(row.paused.to_string());
            cells.push(row.message.clone());
        }
        cells.push(match row.last_transition {
            0 => NONE.to_owned(),
            at => time(at),
        });
        table.row(cells);
    }
    Ok(table.to_string())
}

fn describe(detail: &CanaryDetail) -> String {
    let CanaryDetail {
        row,
        interval_seconds,
        decisions,
        events,
    } = detail;
    let mut text = String::new();
    let mut field = |name: &str, value: String| {
        let _ = writeln!(text, "{:15} {value}", format!("{name}:"));
    };
    field("Name", row.name.clone());
    field("Namespace", row.namespace.clone());
    field("Target", format!("workload {}", row.target));
    field(
        "Status",
        row.phase.clone() + if row.paused { ", paused" } else { "" },
    );
    let primary = row.total_weight.saturating_sub(row.weight);
    field(
        "Weights",
        format!("primary {primary}, canary {}", row.weight),
    );
    field(
        "Failed checks",
        format!("{} of {}", row.failed_checks, row.threshold),
    );
    field("Interval", format!("{interval_seconds} s"));
    if row.no_traffic {
        field("Traffic", "the canary gets no requests".to_owned());
    }
    let _ = writeln!(text, "\nDecisions, newest last:");
    for decision in decisions {
        let _ = writeln!(
            text,
            "  {}  {:<9} canary {:>3}, failed checks {}: {}",
            time(decision.at),
            decision.outcome,
            decision.weight,
            decision.failed_checks,
            decision.reason,
        );
        for check in &decision.checks {
            let _ = writeln!(text, "      {}", check_line(check));
        }
    }
    let _ = writeln!(text, "\nEvents, newest last:");
    for event in events {
        let kind = if event.warning { "Warning" } else { "Normal" };
        let _ = writeln!(text, "  {}  {kind:<7}  {}", time(event.at), event.message);
    }
    text
}

/// The time so many milliseconds after 1970 began.
fn time(millis: u64) -> String {
    iso8601(UNIX_EPOCH + Duration::from_millis(millis))
}

/// `√ request-success-rate 99.5, at least 99, of 200 requests`.
fn check_line(check: &CanaryCheck) -> String {
    let mark = if check.passed { "√" } else { "×" };
    let mut line = format!("{mark} {} ", check.metric);
    let _ = match check.value {
        Some(value) => write!(line, "{value:.2}"),
        None => write!(line, "has no value"),
    };
    if let Some(min) = check.min {
        let _ = write!(line, ", at least {min}");
    }
    if let Some(max) = check.max {
        let _ = write!(line, ", at most {max}");
    }
    if let Some(samples) = check.samples {
        let _ = write!(line, ", of {samples} requests");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_api::{CanaryDecision, CanaryEvent};

    fn row() -> CanaryRow {
        CanaryRow {
            namespace: "test".into(),
            name: "podinfo".into(),
            target: "podinfo".into(),
            phase: "Progressing".into(),
            weight: 15,
            total_weight: 100,
            failed_checks: 1,
            threshold: 5,
            last_transition: 1_709_251_199_000,
            message: "Advance podinfo.test canary weight 15".into(),
            ..CanaryRow::default()
        }
    }

    #[test]
    fn the_list_has_the_columns_of_kubectl() {
        let text = list(&[row()], Format::Table, false).unwrap();
        let mut lines = text.lines();
        let words = |line: Option<&str>| -> Vec<String> {
            line.unwrap()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(
            words(lines.next()),
            ["NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"]
        );
        assert_eq!(
            words(lines.next()),
            ["podinfo", "Progressing", "15", "2024-02-29T23:59:59.000Z"]
        );
        let wide = list(&[row()], Format::Wide, true).unwrap();
        assert!(wide.contains("1/5"), "{wide}");
    }

    #[test]
    fn a_description_says_why_with_the_numbers() {
        let check = CanaryCheck {
            metric: "request-success-rate".into(),
            value: Some(69.17),
            samples: Some(120),
            min: Some(99.0),
            ..CanaryCheck::default()
        };
        let text = describe(&CanaryDetail {
            row: row(),
            interval_seconds: 30.0,
            decisions: vec![CanaryDecision {
                at: 0,
                outcome: "fail".into(),
                weight: 15,
                failed_checks: 1,
                reason: "success rate 69.17% < 99%".into(),
                checks: vec![check],
            }],
            events: vec![CanaryEvent {
                at: 0,
                warning: true,
                message: "Halt podinfo.test advancement".into(),
            }],
        });
        for part in [
            "Weights:        primary 85, canary 15\n",
            "fail      canary  15, failed checks 1: success rate 69.17% < 99%\n",
            "× request-success-rate 69.17, at least 99, of 120 requests\n",
            "Warning  Halt podinfo.test advancement\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
