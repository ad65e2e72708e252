//! Checks the controller as each sidecar sees it, by the sidecars' metrics: the controller itself
//! may be at fault.

use super::{failure, success};
use crate::client::Client;
use mesh_api::{Check, CheckResult, SidecarAddr};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

/// Time limit for the metrics of one sidecar. One that does not run fails another check.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(2);

/// State of the connection to the controller, from the metrics of one sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct ControlHealth {
    lost_seconds: u64,
    pending_removals: u64,
    ignored: u64,
}

/// Reads the metrics of all `sidecars` and returns the checks.
pub(super) async fn checks(sidecars: Vec<SidecarAddr>) -> Vec<Check> {
    let mut scrapes = JoinSet::new();
    for SidecarAddr { pod, admin } in sidecars {
        scrapes.spawn(async move {
            let client = Client::at(admin);
            let text = timeout(SCRAPE_TIMEOUT, client.get_text("/metrics")).await;
            Some((pod, ControlHealth::of(&text.ok()?.ok()?)))
        });
    }
    let mut pods: Vec<_> = scrapes.join_all().await.into_iter().flatten().collect();
    pods.sort();
    evaluate(&pods)
}

/// Returns three checks, each with one line of details per pod that fails it.
fn evaluate(pods: &[(String, ControlHealth)]) -> Vec<Check> {
    let details = |problem: fn(&ControlHealth) -> Option<String>| -> Vec<String> {
        let failed = pods.iter();
        failed
            .filter_map(|(pod, health)| Some(format!("{pod} {}", problem(health)?)))
            .collect()
    };
    let lost = details(|health| match health.lost_seconds {
        0 => None,
        seconds => Some(format!(
            "has had no connection for {seconds} s: its destinations are stale"
        )),
    });
    let pending_removals = details(|health| match health.pending_removals {
        0 => None,
        1 => Some("is about to drop a destination that the controller no longer confirms".into()),
        count => Some(format!(
            "is about to drop {count} destinations that the controller no longer confirms"
        )),
    });
    let ignored = details(|health| match health.ignored {
        0 => None,
        count => Some(format!(
            "has ignored {count} of the controller's messages since it started"
        )),
    });
    [
        (
            "every sidecar has a connection to the controller",
            lost,
            CheckResult::Error,
            "the last destinations stay in force; see `mesh logs controller`",
        ),
        (
            "the controller confirms all destinations it has sent before",
            pending_removals,
            CheckResult::Warning,
            "the controller has just started; destinations that it does not confirm within 5 s are dropped",
        ),
        (
            "every message of the controller is understood",
            ignored,
            CheckResult::Warning,
            "the last destinations stay in force; is it a controller of this mesh?",
        ),
    ]
    .into_iter()
    .map(
        |(description, details, result, hint)| match details.is_empty() {
            true => success(description),
            false => Check {
                result,
                ..failure(description, details, hint)
            },
        },
    )
    .collect()
}

impl ControlHealth {
    fn of(metrics: &str) -> Self {
        let read = |name: &str| {
            let lines = metrics.lines();
            let mut values = lines.filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                rest.starts_with(['{', ' '])
                    .then(|| rest.rsplit(' ').next())?
            });
            let value: Option<f64> = values.next().and_then(|value| value.parse().ok());
            value.unwrap_or_default() as u64
        };
        Self {
            lost_seconds: read("control_lost_seconds"),
            pending_removals: read("control_pending_removals"),
            ignored: read("control_ignored_total"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_without_its_connection_is_named_and_one_without_a_controller_is_not() {
        let stale = "# HELP control_lost_seconds ...\n\
            control_lost_seconds{pod=\"web-0\"} 12\ncontrol_pending_removals{pod=\"web-0\"} 1\n\
            control_ignored_total{pod=\"web-0\"} 3\n";
        let pods = [
            (
                "gateway".to_owned(),
                ControlHealth::of("process_start_time_seconds 1\n"),
            ),
            ("web-0".to_owned(), ControlHealth::of(stale)),
        ];
        let details: Vec<_> = evaluate(&pods).into_iter().map(|it| it.details).collect();
        assert_eq!(
            details,
            [
                ["web-0 has had no connection for 12 s: its destinations are stale"],
                ["web-0 is about to drop a destination that the controller no longer confirms"],
                ["web-0 has ignored 3 of the controller's messages since it started"],
            ]
        );
        let fine = evaluate(&pods[..1]);
        assert!(fine.iter().all(|it| it.result == CheckResult::Success));
    }
}
