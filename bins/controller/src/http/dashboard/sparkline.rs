//! Ten minutes of traffic as a small picture.

use super::figures::percent;
use maud::{Markup, html};
use mesh_control::stats::query::Responses;
use std::{fmt::Write as _, time::Duration};

/// The time that it shows.
pub(super) const SPAN: Duration = Duration::from_secs(600);
/// The time of one of its points.
pub(super) const STEP: Duration = Duration::from_secs(10);

const WIDTH: usize = 120;
const HEIGHT: f64 = 24.0;

/// Responses a second as an area, and below it those that failed.
pub(super) fn sparkline(points: &[Responses]) -> Markup {
    let all: Vec<_> = points.iter().map(Responses::total).collect();
    let failed: Vec<_> = points.iter().map(|point| point.failures).collect();
    let most = all.iter().copied().max().unwrap_or(0);
    let label = label(points, most);
    html! {
        svg class="spark" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } width=(WIDTH) height=(HEIGHT) role="img" aria-label=(label) {
            title { (label) }
            @if most > 0 {
                path class="all" d=(area(&all, most)) {}
                path class="failed" d=(area(&failed, most)) {}
            }
        }
    }
}

fn label(points: &[Responses], most: u64) -> String {
    let total: u64 = points.iter().map(Responses::total).sum();
    let failures: u64 = points.iter().map(|point| point.failures).sum();
    if total == 0 {
        return "no traffic in the last 10 minutes".into();
    }
    let most = most as f64 / STEP.as_secs_f64();
    let failed = percent(failures as f64 / total as f64);
    format!("last 10 minutes: at most {most:.1} rps, {failed} failed")
}

/// A closed path from the left bottom over all values to the right bottom.
fn area(values: &[u64], most: u64) -> String {
    let last = values.len().saturating_sub(1).max(1);
    let mut path = format!("M0 {HEIGHT}");
    for (number, value) in values.iter().enumerate() {
        let x = (number * WIDTH) as f64 / last as f64;
        let y = HEIGHT - *value as f64 / most.max(1) as f64 * (HEIGHT - 1.0);
        // Writing into a String cannot fail.
        let _ = write!(path, "L{x:.0} {y:.1}");
    }
    let _ = write!(path, "L{WIDTH} {HEIGHT}Z");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_says_in_words_what_it_shows() {
        let point = |successes, failures| Responses {
            successes,
            failures,
            over: STEP,
        };
        let text = sparkline(&[point(50, 0), point(25, 25)]).into_string();
        assert!(text.contains("at most 5.0 rps, 25.00% failed"), "{text}");
        assert!(
            text.contains(r#"d="M0 24L0 1.0L120 1.0L120 24Z""#),
            "{text}"
        );
        let text = sparkline(&[]).into_string();
        assert!(
            text.contains("no traffic") && !text.contains("path"),
            "{text}"
        );
    }
}
