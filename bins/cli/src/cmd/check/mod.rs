//! `mesh check`.

mod discovery;

use super::version;
use crate::{args::Global, client::Client};
use anyhow::Result;
use clap::ValueEnum;
use mesh_api::{Check, CheckCategory, CheckReport, CheckResult, SidecarAddr};
use serde::Serialize;
use std::{
    fmt::Write as _,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// From one look to the next, with `--wait`.
const TICK: Duration = Duration::from_millis(250);

/// Check that the mesh is well
///
/// Exits with 1 if a check failed; warnings do not count.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh check\n  mesh check --wait 30 -o short")]
pub(crate) struct Args {
    /// Output format; `short` omits successful checks
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Look again while something is not well, for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Short,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let give_up = Instant::now() + Duration::from_secs(args.wait);
    let mut categories = examine(global).await;
    while !is_well(&categories) && Instant::now() < give_up {
        sleep(TICK).await;
        categories = examine(global).await;
    }
    let text = match args.output {
        Format::Json => json(&categories)?,
        format => table(&categories, format == Format::Short),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if is_well(&categories) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything, from here and as the controller sees it.
async fn examine(global: &Global) -> Vec<CheckCategory> {
    let (supervisor, replicas) = supervisor(global).await;
    let mut categories = vec![category("mesh-up", supervisor)];
    let (mut checks, report) = controller(global).await;
    // A controller that does not answer is no reason not to ask the sidecars what they hear.
    let sidecars = match report.sidecars.is_empty() {
        true => replicas,
        false => report.sidecars,
    };
    checks.extend(discovery::checks(sidecars).await);
    categories.push(category("mesh-control-plane", checks));
    for category in report.categories {
        match categories.iter_mut().find(|it| it.name == category.name) {
            Some(known) => known.checks.extend(category.checks),
            None => categories.push(category),
        }
    }
    categories
}

/// The checks of the supervisor, and the sidecars that it runs.
async fn supervisor(global: &Global) -> (Vec<Check>, Vec<SidecarAddr>) {
    let answer = async {
        let client = Client::supervisor(global)?;
        anyhow::Ok((client.status().await?, client.processes().await?))
    };
    let (status, rows) = match answer.await {
        Ok(answer) => answer,
        Err(error) => {
            let check = failure(
                "the supervisor answers",
                [format!("{error:#}")],
                "start the mesh with `mesh up PATH`, or name a running one with --api",
            );
            return (vec![check], Vec::new());
        }
    };
    let sidecars = rows.iter().filter_map(|row| {
        let admin = row.admin.as_ref()?.parse().ok()?;
        let pod = row.name.clone();
        Some(SidecarAddr { pod, admin })
    });
    let sidecars = sidecars.collect();
    let waiting = rows.iter().filter(|row| row.state != "ready");
    let waiting: Vec<_> = waiting
        .map(|row| match &row.why {
            Some(why) => format!("{} is {}: {why}", row.name, row.state),
            None => format!("{} is {}", row.name, row.state),
        })
        .collect();
    let ready = if waiting.is_empty() && !status.ready {
        let details = ["the controller or the gateway is not".to_owned()];
        failure("everything is ready", details, "see `mesh logs`")
    } else if waiting.is_empty() {
        success("everything is ready")
    } else {
        failure(
            "everything is ready",
            waiting,
            "see `mesh logs NAME` for a workload's output",
        )
    };
    (vec![success("the supervisor answers"), ready], sidecars)
}

async fn controller(global: &Global) -> (Vec<Check>, CheckReport) {
    let answers = "the controller answers";
    let version = match version::running(global).await {
        Ok(version) => version,
        Err(error) => {
            let hint = "the supervisor starts it again by itself; see `mesh logs controller`";
            let check = failure(answers, [format!("{error:#}")], hint);
            return (vec![check], CheckReport::default());
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    let same = "the controller and this program are of one version";
    let same = if version == own {
        success(same)
    } else {
        Check {
            result: CheckResult::Warning,
            ..failure(
                same,
                [format!("the controller is {version}, this program {own}")],
                "stop the mesh and start it with this program",
            )
        }
    };
    let report = async { Client::find(global)?.check().await };
    let mut checks = vec![success(answers), same];
    let report: Result<CheckReport> = report.await;
    let report = report.unwrap_or_else(|error| {
        let details = [format!("{error:#}")];
        checks.push(failure(
            "the controller reports",
            details,
            "see `mesh logs controller`",
        ));
        CheckReport::default()
    });
    (checks, report)
}

fn category(name: &str, checks: Vec<Check>) -> CheckCategory {
    CheckCategory {
        name: name.to_owned(),
        checks,
    }
}

fn success(description: &str) -> Check {
    Check {
        description: description.to_owned(),
        result: CheckResult::Success,
        details: Vec::new(),
        hint: None,
    }
}

fn failure(description: &str, details: impl Into<Vec<String>>, hint: &str) -> Check {
    Check {
        description: description.to_owned(),
        result: CheckResult::Error,
        details: details.into(),
        hint: Some(hint.to_owned()),
    }
}

/// Warnings do not count.
fn is_well(categories: &[CheckCategory]) -> bool {
    let mut checks = categories.iter().flat_map(|it| &it.checks);
    checks.all(|check| check.result != CheckResult::Error)
}

fn symbol(result: CheckResult) -> &'static str {
    match result {
        CheckResult::Success => "√",
        CheckResult::Warning => "‼",
        CheckResult::Error => "×",
    }
}

fn table(categories: &[CheckCategory], short: bool) -> String {
    let mut text = String::new();
    for category in categories {
        let shown = |check: &&Check| !short || check.result != CheckResult::Success;
        let checks: Vec<_> = category.checks.iter().filter(shown).collect();
        if checks.is_empty() {
            continue;
        }
        let line = "-".repeat(category.name.chars().count());
        let _ = writeln!(text, "{}\n{line}", category.name);
        for check in checks {
            let _ = writeln!(text, "{} {}", symbol(check.result), check.description);
            for detail in &check.details {
                let _ = writeln!(text, "    {detail}");
            }
            if let Some(hint) = &check.hint {
                let _ = writeln!(text, "    hint: {hint}");
            }
        }
        text.push('\n');
    }
    let result = if is_well(categories) { "√" } else { "×" };
    let _ = writeln!(text, "Status check results are {result}");
    text
}

fn json(categories: &[CheckCategory]) -> Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        success: bool,
        categories: Vec<Category<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Category<'a> {
        category_name: &'a str,
        checks: Vec<Line<'a>>,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        description: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        result: CheckResult,
    }
    let categories_json = categories.iter().map(|category| Category {
        category_name: &category.name,
        checks: category
            .checks
            .iter()
            .map(|check| Line {
                description: &check.description,
                hint: check.hint.as_deref(),
                error: (!check.details.is_empty()).then(|| check.details.join("\n")),
                result: check.result,
            })
            .collect(),
    });
    let report = Report {
        success: is_well(categories),
        categories: categories_json.collect(),
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories() -> Vec<CheckCategory> {
        let warning = Check {
            result: CheckResult::Warning,
            ..failure("one version", ["it is 2".to_owned()], "update")
        };
        vec![
            category("mesh-up", vec![success("the supervisor answers")]),
            category("mesh-controller", vec![success("it answers"), warning]),
        ]
    }

    #[test]
    fn ticks_details_and_hints_are_printed_and_a_warning_is_no_failure() {
        assert_eq!(
            table(&categories(), false),
            "mesh-up\n-------\n√ the supervisor answers\n\n\
             mesh-controller\n---------------\n√ it answers\n‼ one version\n    it is 2\n    \
             hint: update\n\nStatus check results are √\n"
        );
        assert_eq!(
            table(&categories(), true),
            "mesh-controller\n---------------\n‼ one version\n    it is 2\n    hint: update\n\n\
             Status check results are √\n"
        );
    }

    #[test]
    fn the_json_has_the_shape_other_tools_read() {
        let mut categories = categories();
        categories[0].checks[0] = failure("a", ["b".to_owned()], "c");
        let report: serde_json::Value = serde_json::from_str(&json(&categories).unwrap()).unwrap();
        assert_eq!(report["success"], false);
        assert_eq!(report["categories"][0]["categoryName"], "mesh-up");
        assert_eq!(report["categories"][0]["checks"][0]["result"], "error");
        assert_eq!(report["categories"][0]["checks"][0]["error"], "b");
        assert_eq!(report["categories"][1]["checks"][0].get("hint"), None);
    }
}
