//! The service graph: callers to the left of what they call.

use super::{
    figures::{Health, percent, rate},
    paths,
};
use maud::{Markup, html};
use mesh_control::stats::query::Call;
use std::collections::BTreeMap;

/// The most workloads that a picture shows.
const MAX_NODES: usize = 60;
/// The most calls of which each has its numbers beside it.
const MAX_LABELS: usize = 25;

const BOX: (usize, usize) = (132, 34);
const GAP: (usize, usize) = (146, 30);
/// Room for arcs above and below the boxes.
const ARC: usize = 46;

type Name<'a> = (&'a str, &'a str);
/// Column and row of each workload.
type Places<'a> = BTreeMap<Name<'a>, (usize, usize)>;

/// The picture, or what to do when there is none.
pub(super) fn graph(calls: &[Call], health: &BTreeMap<Name<'_>, Health>) -> Markup {
    let places = places(calls);
    if calls.is_empty() {
        return html! { p class="empty" { "No workload called another in the last minute." } };
    }
    if places.len() > MAX_NODES {
        return html! {
            p class="empty" {
                (places.len()) " workloads are too many for a picture: choose a namespace, or part of a name."
            }
        };
    }
    let columns = places.values().map(|(column, _)| column + 1).max();
    let rows = places.values().map(|(_, row)| row + 1).max();
    let width = columns.unwrap_or(0) * (BOX.0 + GAP.0) - GAP.0 + 8;
    let height = rows.unwrap_or(0) * (BOX.1 + GAP.1) - GAP.1 + 2 * (ARC + 8);
    let most = calls.iter().filter_map(|call| call.responses.per_second());
    let most = most.fold(0.1, f64::max);
    html! {
        div class="scroll" role="region" aria-label="Service graph" tabindex="0" {
            svg class="graph" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) {
                @for call in calls { (edge(call, &places, most)) }
                @if calls.len() <= MAX_LABELS {
                    @for call in calls { (label(call, &places)) }
                }
                @for (name, place) in &places {
                    (node(*name, *place, health.get(name).copied().unwrap_or(Health::Idle)))
                }
            }
        }
    }
}

/// Column and row of each workload. A column is the length of the longest chain of callers, loops
/// left out.
fn places(calls: &[Call]) -> Places<'_> {
    let mut callers: BTreeMap<Name<'_>, Vec<Name<'_>>> = BTreeMap::new();
    for call in calls {
        let (src, dst) = ends(call);
        callers.entry(src).or_default();
        let callers = callers.entry(dst).or_default();
        if src != dst && !callers.contains(&src) {
            callers.push(src);
        }
    }
    if callers.len() > MAX_NODES {
        return callers.into_keys().map(|name| (name, (0, 0))).collect();
    }
    let mut columns = BTreeMap::new();
    for name in callers.keys() {
        column(*name, &callers, &mut columns, &mut Vec::new());
    }
    let mut filled = BTreeMap::new();
    let places = columns.into_iter().map(|(name, column)| {
        let row = filled.entry(column).or_insert(0);
        *row += 1;
        (name, (column, *row - 1))
    });
    places.collect()
}

fn column<'a>(
    name: Name<'a>,
    callers: &BTreeMap<Name<'a>, Vec<Name<'a>>>,
    known: &mut BTreeMap<Name<'a>, usize>,
    path: &mut Vec<Name<'a>>,
) -> usize {
    if let Some(column) = known.get(&name) {
        return *column;
    }
    path.push(name);
    let mut longest = 0;
    for caller in callers.get(&name).into_iter().flatten() {
        if !path.contains(caller) {
            longest = longest.max(column(*caller, callers, known, path) + 1);
        }
    }
    path.pop();
    known.insert(name, longest);
    longest
}

fn ends(call: &Call) -> (Name<'_>, Name<'_>) {
    (
        (&call.src_namespace, &call.src),
        (&call.dst_namespace, &call.dst),
    )
}

/// The left top corner of a place, below the room for arcs.
fn corner((column, row): (usize, usize)) -> (usize, usize) {
    (4 + column * (BOX.0 + GAP.0), ARC + row * (BOX.1 + GAP.1))
}

/// The path of a call, and the place of its label. A call to the next column goes straight there;
/// others go around what is between, forward above and backward below.
fn line(call: &Call, places: &Places<'_>) -> (String, f64, f64) {
    let (src, dst) = ends(call);
    let (from, to) = (places[&src], places[&dst]);
    let place = |place| {
        let (x, y) = corner(place);
        (x as f64, y as f64)
    };
    let ((x1, y1), (x2, y2)) = (place(from), place(to));
    let (wide, high) = (BOX.0 as f64, BOX.1 as f64);
    if to.0 == from.0 + 1 {
        let (x1, y1, y2) = (x1 + wide, y1 + high / 2.0, y2 + high / 2.0);
        let bend = (x2 - x1) / 2.0;
        let path = format!("M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend);
        return (path, (x1 + x2) / 2.0, (y1 + y2) / 2.0 - 6.0);
    }
    let is_forward = to.0 > from.0;
    // The ends of arcs there and back are apart.
    let (x1, x2) = match is_forward {
        true => (x1 + wide * 0.6, x2 + wide * 0.4),
        false => (x1 + wide * 0.4, x2 + wide * 0.6),
    };
    let (y1, y2, over) = match is_forward {
        true => (y1, y2, y1.min(y2) - ARC as f64),
        false => (y1 + high, y2 + high, y1.max(y2) + high + ARC as f64),
    };
    let path = format!("M{x1} {y1}C{x1} {over} {x2} {over} {x2} {y2}");
    // A cubic curve is at three quarters of the way to its handles there.
    let top = (y1 + y2) / 8.0 + over * 0.75;
    (
        path,
        (x1 + x2) / 2.0,
        if is_forward { top - 4.0 } else { top + 13.0 },
    )
}

fn words(call: &Call) -> String {
    match (call.responses.success(), call.responses.per_second()) {
        (Some(success), Some(rps)) => format!("{} · {} rps", percent(success), rate(Some(rps))),
        _ => "TCP".into(),
    }
}

fn edge(call: &Call, places: &Places<'_>, most: f64) -> Markup {
    let (path, ..) = line(call, places);
    let share = call.responses.per_second().unwrap_or(0.0) / most;
    let width = 1.5 + 4.5 * share.clamp(0.0, 1.0).sqrt();
    let health = Health::of(call.responses.success());
    html! {
        path class={ "edge " (health.word()) } d=(path) stroke-width={ (format!("{width:.1}")) } {
            title { (call.src) " calls " (call.dst) ": " (words(call)) }
        }
    }
}

fn label(call: &Call, places: &Places<'_>) -> Markup {
    let (_, x, y) = line(call, places);
    let health = Health::of(call.responses.success());
    html! {
        text class={ "label " (health.word()) } x=(x) y=(y) text-anchor="middle" { (words(call)) }
    }
}

fn node((namespace, name): Name<'_>, place: (usize, usize), health: Health) -> Markup {
    let (x, y) = corner(place);
    let short: String = match name.char_indices().nth(16) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.into(),
    };
    html! {
        a href=(paths::workload(namespace, name)) {
            title { (namespace) "/" (name) ": " (health.word()) }
            rect class={ "node " (health.word()) } x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="6" {}
            text class="name" x=(x + BOX.0 / 2) y=(y + 22) text-anchor="middle" { (short) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_control::stats::query::Responses;
    use std::time::Duration;

    fn call(src: &str, dst: &str) -> Call {
        Call {
            src_namespace: "shop".into(),
            src: src.into(),
            dst_namespace: "shop".into(),
            dst: dst.into(),
            responses: Responses {
                successes: 1,
                failures: 1,
                over: Duration::from_secs(1),
            },
            latency: None,
            tcp: None,
        }
    }

    #[test]
    fn callers_are_left_of_what_they_call_and_loops_end() {
        let calls = [
            call("traffic", "webapp"),
            call("webapp", "books"),
            call("webapp", "authors"),
            call("books", "authors"),
            call("authors", "authors"),
        ];
        let places = places(&calls);
        let column = |name| places[&("shop", name)].0;
        let columns = ["traffic", "webapp", "books", "authors"].map(column);
        assert_eq!(columns, [0, 1, 2, 3]);
        let text = graph(&calls, &BTreeMap::new()).into_string();
        assert!(text.contains("50.00% · 2.0 rps"), "{text}");

        let circle = [call("a", "b"), call("b", "a")];
        assert!(
            graph(&circle, &BTreeMap::new())
                .into_string()
                .contains("<svg")
        );
    }

    #[test]
    fn a_hostile_name_is_text() {
        let calls = [call("<script>alert(1)</script>", "\"><img>")];
        let text = graph(&calls, &BTreeMap::new()).into_string();
        assert!(
            !text.contains("<script") && !text.contains("<img"),
            "{text}"
        );
    }
}
