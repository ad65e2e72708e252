//! Numbers as people read them, and the health that they amount to.

use maud::{Markup, html};
use mesh_api::Latency;

/// The health of a workload, a route or a call, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// Below 95 % success.
    Failing,
    /// Below 99 % success.
    Degraded,
    /// At least 99 % success.
    Healthy,
    /// No traffic.
    Idle,
}

impl Health {
    /// The health of what has this share of successes.
    pub(super) fn of(success: Option<f64>) -> Self {
        match success {
            None => Self::Idle,
            Some(share) if share < 0.95 => Self::Failing,
            Some(share) if share < 0.99 => Self::Degraded,
            Some(_) => Self::Healthy,
        }
    }

    /// The word for it, which is also its class in the style sheet.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Degraded => "degraded",
            Self::Healthy => "healthy",
            Self::Idle => "idle",
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Failing => "✕",
            Self::Degraded => "!",
            Self::Healthy => "✓",
            Self::Idle => "–",
        }
    }
}

/// A mark that tells the health by its shape, its colour and a word.
pub(super) fn mark(health: Health) -> Markup {
    html! {
        span class={ "mark " (health.word()) } {
            span aria-hidden="true" { (health.symbol()) } " " (health.word())
        }
    }
}

/// A share in percent, with a bar.
pub(super) fn success(share: Option<f64>) -> Markup {
    let Some(known) = share else {
        return html! { "-" };
    };
    let width = (known.clamp(0.0, 1.0) * 40.0).round();
    html! {
        svg class={ "bar " (Health::of(share).word()) } viewBox="0 0 40 6" width="40" height="6" aria-hidden="true" {
            rect class="rest" width="40" height="6" {}
            rect class="full" width=(width) height="6" {}
        }
        " " (percent(known))
    }
}

/// A share as in `99.12%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// Responses a second, as in `3.2`.
pub(super) fn rate(rps: Option<f64>) -> String {
    rps.map_or("-".into(), |rps| format!("{rps:.1}"))
}

/// Bytes a second.
pub(super) fn bytes(rate: Option<f64>) -> String {
    match rate {
        None => "-".into(),
        Some(rate) if rate < 1e3 => format!("{rate:.0} B/s"),
        Some(rate) if rate < 1e6 => format!("{:.1} kB/s", rate / 1e3),
        Some(rate) => format!("{:.1} MB/s", rate / 1e6),
    }
}

/// A count, as in `12`.
pub(super) fn count(count: Option<u64>) -> String {
    count.map_or("-".into(), |count| count.to_string())
}

/// Heads of the columns that [`latency_cells`] fills.
pub(super) fn latency_heads() -> Markup {
    html! {
        th scope="col" class="number" { "P50" }
        th scope="col" class="number" { "P95" }
        th scope="col" class="number" { "P99" }
    }
}

/// A cell for each percentile.
pub(super) fn latency_cells(latency: Latency) -> Markup {
    let millis = |value: Option<u64>| value.map_or("-".into(), |ms| format!("{ms} ms"));
    html! {
        td class="number" { (millis(latency.latency_ms_p50)) }
        td class="number" { (millis(latency.latency_ms_p95)) }
        td class="number" { (millis(latency.latency_ms_p99)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_command_line() {
        assert_eq!(percent(0.7142857), "71.43%");
        assert_eq!(rate(Some(5.25)), "5.2");
        assert_eq!(rate(None), "-");
        assert_eq!(bytes(Some(12_345.0)), "12.3 kB/s");
        assert_eq!(success(None).into_string(), "-");
        assert!(success(Some(0.5)).into_string().contains("width=\"20\""));
    }

    #[test]
    fn what_fails_comes_before_what_does_not() {
        let mut all = [None, Some(1.0), Some(0.98), Some(0.5)].map(Health::of);
        all.sort();
        let words = all.map(Health::word);
        assert_eq!(words, ["failing", "degraded", "healthy", "idle"]);
    }
}
