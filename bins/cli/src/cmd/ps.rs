//! `mesh ps`.

use crate::{
    args::Global,
    client::{Client, supervisor::Row},
};
use anyhow::Result;
use clap::ValueEnum;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// List the replicas of the running mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh ps\n  mesh ps -o json")]
pub(crate) struct Args {
    /// Output format; `wide` adds the ports of the sidecars
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Wide,
    Json,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = Client::supervisor(global)?;
    let rows = client.processes().await?;
    let text = match args.output {
        Format::Json => serde_json::to_string_pretty(&rows)? + "\n",
        format => table(&rows, format == Format::Wide),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[Row], wide: bool) -> String {
    let mut head = vec!["NAME", "STATE", "PID", "RESTARTS", "LISTENS"];
    if wide {
        head.extend(["INBOUND", "ADMIN"]);
    }
    let mut lines = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for row in rows {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let mut line = vec![
            row.name.clone(),
            row.state.clone(),
            or_dash(&row.pid.map(|pid| pid.to_string())),
            row.restarts.to_string(),
            or_dash(&row.app),
        ];
        if wide {
            line.extend([or_dash(&row.inbound), or_dash(&row.admin)]);
        }
        lines.push(line);
    }
    let columns = lines[0].len();
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].len())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(&format!("{:width$}", line[0], width = widths[0]));
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            text.push_str(&format!("   {cell:>width$}"));
        }
        if let Some(why) = number.checked_sub(1).and_then(|row| rows[row].why.as_ref()) {
            text.push_str(&format!("   {why}"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_wrong_at_the_end_of_the_line() {
        let row = |name: &str, state: &str, pid, why: Option<&str>| Row {
            name: name.into(),
            workload: "web".into(),
            state: state.into(),
            pid,
            restarts: 0,
            app: None,
            inbound: Some("127.0.0.1:2".into()),
            admin: None,
            why: why.map(str::to_owned),
        };
        let rows = [
            row("web-0", "ready", Some(12), None),
            row("books-10", "failing", None, Some("exited with status 1")),
        ];
        assert_eq!(
            table(&rows, false),
            "NAME         STATE   PID   RESTARTS   LISTENS\n\
             web-0        ready    12          0         -\n\
             books-10   failing     -          0         -   exited with status 1\n"
        );
        assert!(
            table(&rows, true)
                .lines()
                .next()
                .unwrap()
                .ends_with("LISTENS       INBOUND   ADMIN")
        );
    }
}
