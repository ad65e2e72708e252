//! The overview: every workload with its golden numbers, what is unhealthy first.

use super::{
    Dashboard, REFRESH,
    figures::{self, Health},
    graph::graph,
    layout::{Section, table},
    live::{self, Form},
    paths, sparkline,
};
use crate::http::{
    ApiError, App,
    query::{self, Query, now},
    stat,
};
use axum::{Router, extract::State, response::Response, routing::get};
use maud::{Markup, html};
use mesh_api::{Kind, Namespaces, Resource, StatRequest, StatRow, Window};
use mesh_control::stats::query::{Call, History, Responses, calls, history};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// The age from which the pictures of the last ten minutes are made anew: one of their points.
const PICTURES: Duration = sparkline::STEP;

pub(super) fn routes() -> Router<Dashboard> {
    Router::new().route(paths::OVERVIEW, get(page))
}

/// The numbers of all workloads at one moment.
pub(super) struct Numbers {
    pub(super) rows: Vec<StatRow>,
    pub(super) calls: Vec<Call>,
    history: Arc<History>,
}

impl Numbers {
    /// The last ten minutes of a workload.
    pub(super) fn points(&self, namespace: &str, name: &str) -> &[Responses] {
        let points = self.history.get(&(namespace.into(), name.into()));
        points.map_or(&[], Vec::as_slice)
    }
}

/// The last numbers, which all open pages share.
#[derive(Default)]
pub(super) struct Cache {
    numbers: Option<(Instant, Arc<Numbers>)>,
    history: Option<(Instant, Arc<History>)>,
}

/// The numbers of all workloads, at most a refresh old.
pub(super) fn numbers(dashboard: &Dashboard) -> Result<Arc<Numbers>, ApiError> {
    let mut cache = dashboard
        .overview
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let (app, now) = (&dashboard.app, now());
    let is_fresh = |at: Instant, limit| now.saturating_duration_since(at) < limit;
    if let Some((at, known)) = &cache.numbers
        && is_fresh(*at, REFRESH / 2)
    {
        return Ok(known.clone());
    }
    let pictures = match &cache.history {
        Some((at, known)) if is_fresh(*at, PICTURES) => known.clone(),
        _ => {
            let new = history(&query::store(app), now, sparkline::SPAN, sparkline::STEP);
            let new = Arc::new(new);
            cache.history = Some((now, new.clone()));
            new
        }
    };
    let new = Arc::new(Numbers {
        rows: rows(app)?,
        calls: calls(&query::store(app), now, Window::default().length()),
        history: pictures,
    });
    cache.numbers = Some((now, new.clone()));
    Ok(new)
}

fn rows(app: &App) -> Result<Vec<StatRow>, ApiError> {
    let request = StatRequest {
        resources: vec![Resource::all(Kind::Deployment)],
        namespaces: Namespaces::All,
        side: None,
        window: Window::default(),
        unmeshed: true,
    };
    let tables = stat::tables(app, request)?.into_iter();
    Ok(tables.flat_map(|table| table.rows).collect())
}

/// The parameters of the page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    namespace: String,
    /// Part of a name.
    q: String,
    sort: Sort,
}

/// The column that orders the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Health,
    Name,
    Success,
    Rps,
    P50,
    P95,
    P99,
}

impl Sort {
    const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Health, "health", "Health"),
        (Self::Name, "name", "Workload"),
        (Self::Success, "success", "Success"),
        (Self::Rps, "rps", "RPS"),
        (Self::P50, "p50", "P50"),
        (Self::P95, "p95", "P95"),
        (Self::P99, "p99", "P99"),
    ];

    fn apply(self, rows: &mut [&StatRow]) {
        // The more failures a second, the worse.
        let failures = |row: &StatRow| Some((1.0 - row.success?) * row.rps?);
        let millis = |value: Option<u64>| value.map(|ms| ms as f64);
        match self {
            Self::Name => rows.sort_by_key(|row| (&row.name, &row.namespace)),
            Self::Health => {
                descending(rows, failures);
                rows.sort_by_key(|row| (health(row), !is_short(row)));
            }
            Self::Success => descending(rows, |row| row.success.map(|share| 1.0 - share)),
            Self::Rps => descending(rows, |row| row.rps),
            Self::P50 => descending(rows, |row| millis(row.latency.latency_ms_p50)),
            Self::P95 => descending(rows, |row| millis(row.latency.latency_ms_p95)),
            Self::P99 => descending(rows, |row| millis(row.latency.latency_ms_p99)),
        }
    }
}

/// The largest first; what is unknown last.
fn descending(rows: &mut [&StatRow], key: impl Fn(&StatRow) -> Option<f64>) {
    let key = |row: &StatRow| key(row).unwrap_or(-1.0);
    rows.sort_by(|one, other| key(other).total_cmp(&key(one)));
}

pub(super) fn health(row: &StatRow) -> Health {
    Health::of(row.success)
}

/// Returns true if a replica has no sidecar.
fn is_short(row: &StatRow) -> bool {
    let meshed = row.meshed.as_deref().and_then(|it| it.split_once('/'));
    meshed.is_some_and(|(with_sidecar, all)| with_sidecar != all)
}

async fn page(
    State(dashboard): State<Dashboard>,
    form: Form,
    Query(parameters): Query<Parameters>,
) -> Result<Response, ApiError> {
    let numbers = numbers(&dashboard)?;
    let fixed = filter(&parameters, &numbers);
    let head = (Section::Overview, "Overview", fixed);
    Ok(live::answer(&dashboard, form, head, move |dashboard| {
        Ok(content(&parameters, &*self::numbers(dashboard)?))
    }))
}

fn filter(parameters: &Parameters, numbers: &Numbers) -> Markup {
    let namespaces = numbers.rows.iter().map(|row| &*row.namespace);
    let mut namespaces: BTreeSet<_> = namespaces.collect();
    if !parameters.namespace.is_empty() {
        namespaces.insert(&parameters.namespace);
    }
    html! {
        form class="filter" method="get" action=(paths::OVERVIEW) {
            label { "Namespace "
                select name="namespace" {
                    option value="" { "all" }
                    @for name in namespaces {
                        option value=(name) selected[name == parameters.namespace] { (name) }
                    }
                }
            }
            label { "Name contains " input name="q" type="search" value=(parameters.q); }
            label { "Sort by "
                select name="sort" {
                    @for (sort, value, name) in Sort::ALL {
                        option value=(value) selected[sort == parameters.sort] { (name) }
                    }
                }
            }
            button { "Show" }
        }
    }
}

fn content(parameters: &Parameters, numbers: &Numbers) -> Markup {
    let is_shown = |namespace: &str, name: &str| {
        (parameters.namespace.is_empty() || parameters.namespace == namespace)
            && name.contains(parameters.q.trim())
    };
    let rows = numbers.rows.iter();
    let mut rows: Vec<_> = rows
        .filter(|row| is_shown(&row.namespace, &row.name))
        .collect();
    parameters.sort.apply(&mut rows);
    let calls = numbers.calls.iter().filter(|call| {
        is_shown(&call.src_namespace, &call.src) || is_shown(&call.dst_namespace, &call.dst)
    });
    let calls: Vec<_> = calls.cloned().collect();
    let known = numbers.rows.iter();
    let known = known.map(|row| ((&*row.namespace, &*row.name), health(row)));
    let known: BTreeMap<_, _> = known.collect();
    html! {
        (summary(&rows))
        @if rows.is_empty() { (nothing(parameters)) } @else {
            h2 { "Workloads" }
            (table("Workloads", &heads(parameters), &html! {
                @for row in &rows { (self::row(row, numbers)) }
            }))
        }
        h2 { "Who calls whom" }
        (graph(&calls, &known))
    }
}

fn summary(rows: &[&StatRow]) -> Markup {
    let count = |wanted| rows.iter().filter(|row| health(row) == wanted).count();
    html! {
        ul class="summary" {
            @for health in [Health::Failing, Health::Degraded, Health::Healthy, Health::Idle] {
                li { strong { (count(health)) } " " (figures::mark(health)) }
            }
        }
    }
}

fn nothing(parameters: &Parameters) -> Markup {
    match parameters.q.is_empty() && parameters.namespace.is_empty() {
        true => html! {
            p class="empty" { "The mesh has no workloads yet. Start some with " code { "mesh up" } "." }
        },
        false => html! {
            p class="empty" {
                "No workload is called so. " a href=(paths::OVERVIEW) { "Show all workloads" } "."
            }
        },
    }
}

fn heads(parameters: &Parameters) -> Markup {
    let by = |sort: Sort, value: &str, name: &str| {
        let query = [
            ("namespace", &*parameters.namespace),
            ("q", &*parameters.q),
            ("sort", value),
        ];
        let is_name = matches!(sort, Sort::Name | Sort::Health);
        let order = if is_name { "ascending" } else { "descending" };
        html! {
            th scope="col" class=[(!is_name).then_some("number")]
                aria-sort=[(sort == parameters.sort).then_some(order)] {
                a href=(paths::with_query(paths::OVERVIEW, &query)) { (name) }
            }
        }
    };
    let [health, name, success, rps, p50, p95, p99] =
        Sort::ALL.map(|(sort, value, name)| by(sort, value, name));
    html! {
        (name) (health) (success) (rps) (p50) (p95) (p99)
        th scope="col" { "10 minutes" }
        th scope="col" class="number" { "TCP" }
        th scope="col" class="number" { "Meshed" }
        th scope="col" { "Namespace" }
    }
}

fn row(row: &StatRow, numbers: &Numbers) -> Markup {
    let health = health(row);
    html! {
        tr class=(health.word()) {
            th scope="row" { a href=(paths::workload(&row.namespace, &row.name)) { (row.name) } }
            td { (figures::mark(health)) }
            td class="number" { (figures::success(row.success)) }
            td class="number" { (figures::rate(row.rps)) }
            (figures::latency_cells(row.latency))
            td { (sparkline::sparkline(numbers.points(&row.namespace, &row.name))) }
            td class="number" { (figures::count(row.tcp_open_connections)) }
            td class={ "number" @if is_short(row) { " warn" } } {
                (row.meshed.as_deref().unwrap_or("-"))
                @if is_short(row) { span class="hidden" { ", a replica has no sidecar" } }
            }
            td { (row.namespace) }
        }
    }
}
