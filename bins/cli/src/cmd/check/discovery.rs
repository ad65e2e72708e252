//! Checks the controller as each sidecar sees it, by the sidecars' metrics: the controller itself
//! may be at fault.

use super::{failure, success};
use crate::client::Client;
use mesh_api::{Check, CheckResult, SidecarAddr};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

/// Limit for a sidecar's metrics. A sidecar that does not run fails another check.
const PATIENCE: Duration = Duration::from_secs(2);

/// State of the controller in the metrics of one sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct ControlHealth {
    lost_seconds: u64,
    pending_removals: u64,
    ignored: u64,
}

/// Reads the metrics of all `sidecars` and returns the checks.
pub(super) async fn checks(sidecars: Vec<SidecarAddr>) -> Vec<Check> {
    let mut asking = JoinSet::new();
    for SidecarAddr { pod, admin } in sidecars {
        asking.spawn(async move {
            let client = Client::at(admin);
            let text = timeout(PATIENCE, client.get_text("/metrics")).await;
            Some((pod, ControlHealth::of(&text.ok()?.ok()?)))
        });
    }
    let mut heard: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    heard.sort();
    judge(&heard)
}

fn judge(heard: &[(String, ControlHealth)]) -> Vec<Check> {
    let such = |say: fn(&ControlHealth) -> Option<String>| -> Vec<String> {
        let all = heard.iter();
        all.filter_map(|(name, hearing)| Some(format!("{name} {}", say(hearing)?)))
            .collect()
    };
    let lost = such(|it| {
        let seconds = it.lost_seconds;
        (seconds > 0)
            .then(|| format!("has not heard of it for {seconds} s: its destinations are stale"))
    });
    let pending_removals = such(|it| {
        let pending_removals = it.pending_removals;
        (pending_removals > 0)
            .then(|| format!("was told that {pending_removals} of its destinations are gone"))
    });
    let ignored = such(|it| {
        let ignored = it.ignored;
        (ignored > 0).then(|| format!("has ignored {ignored} of its messages since it started"))
    });
    [
        (
            "every sidecar hears the controller",
            lost,
            CheckResult::Error,
            "the last answers stay in force; see `mesh logs controller`",
        ),
        (
            "the controller knows what it knew",
            pending_removals,
            CheckResult::Warning,
            "it has just started; unless it says otherwise, sidecars believe it in 5 s",
        ),
        (
            "the controller says nothing without meaning",
            ignored,
            CheckResult::Warning,
            "the last answers stay in force; is it a controller of this mesh?",
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
    fn a_sidecar_that_hears_nothing_is_named_and_one_without_a_controller_is_not() {
        let stale = "# HELP control_lost_seconds ...\n\
            control_lost_seconds{pod=\"web-0\"} 12\ncontrol_pending_removals{pod=\"web-0\"} 1\n\
            control_ignored_total{pod=\"web-0\"} 3\n";
        let heard = [
            (
                "gateway".to_owned(),
                ControlHealth::of("process_start_time_seconds 1\n"),
            ),
            ("web-0".to_owned(), ControlHealth::of(stale)),
        ];
        let details: Vec<_> = judge(&heard).into_iter().map(|it| it.details).collect();
        assert_eq!(
            details,
            [
                ["web-0 has not heard of it for 12 s: its destinations are stale"],
                ["web-0 was told that 1 of its destinations are gone"],
                ["web-0 has ignored 3 of its messages since it started"],
            ]
        );
        let fine = judge(&heard[..1]);
        assert!(fine.iter().all(|it| it.result == CheckResult::Success));
    }
}
