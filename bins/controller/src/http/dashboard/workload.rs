//! The page of a workload: its numbers, neighbours, routes and replicas.

use super::{
    Dashboard,
    figures::{self, Health},
    layout::{Section, command, shell_word, table},
    live::{self, Form},
    overview::{self, Numbers},
    paths,
    routes::{route_heads, service_name},
    sparkline, tap,
};
use crate::{
    http::{ApiError, App, edges, routes, rows, stat},
    resource::Manifest,
};
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use maud::{Markup, html};
use mesh_api::{
    EdgesRequest, Kind, Namespaces, Peer, Resource, RouteRow, RoutesRequest, StatRequest, StatRow,
    Window,
};
use mesh_control::stats::{Topology, query::Call};

/// The most services whose routes are shown as the workload calls them.
const MAX_CALLED: usize = 20;

pub(super) fn routes() -> Router<Dashboard> {
    Router::new().route("/namespaces/{namespace}/deployments/{name}", get(page))
}

async fn page(
    State(dashboard): State<Dashboard>,
    form: Form,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let fixed = html! {
        p {
            "Namespace " a href=(paths::with_query(paths::OVERVIEW, &[("namespace", &namespace)])) { (namespace) }
            " · " a href=(tap::link(&namespace, &name, "")) { "Tap its requests" }
            " · " a href=(tap::link(&namespace, &name, "5xx")) { "Tap its failures" }
        }
    };
    let title = name.clone();
    let head = (Section::Overview, &*title, fixed);
    live::answer(&dashboard, form, head, move |dashboard| {
        content(dashboard, &namespace, &name)
    })
}

fn content(dashboard: &Dashboard, namespace: &str, name: &str) -> Result<Markup, ApiError> {
    let app = &dashboard.app;
    let numbers = overview::numbers(dashboard)?;
    let own = stat_rows(app, namespace, Resource::named(Kind::Deployment, name))?;
    let own = own.into_iter().next().unwrap_or_default();
    let is_it = |row_namespace: &str, row: &str| row_namespace == namespace && row == name;
    let calls = numbers.calls.iter();
    let (inbound, outbound): (Vec<_>, Vec<_>) = (
        calls
            .clone()
            .filter(|it| is_it(&it.dst_namespace, &it.dst))
            .collect(),
        calls
            .filter(|it| is_it(&it.src_namespace, &it.src))
            .collect(),
    );
    let topology = Topology::new(&app.index.snapshot());
    Ok(html! {
        (summary(&own, &numbers, namespace, name))
        h2 { "Called by" }
        (neighbours("Called by", &inbound, |call| (&call.src_namespace, &call.src)))
        h2 { "Calls" }
        (neighbours("Calls", &outbound, |call| (&call.dst_namespace, &call.dst)))
        (served(app, namespace, name)?)
        (called(app, &topology, namespace, name, &outbound)?)
        h2 { "Replicas" }
        (replicas(app, &topology, namespace, name)?)
        h2 { "Connections" }
        (connections(app, namespace, name))
        h2 { "Rules" }
        (rules(app, &topology, namespace, name))
        h2 { "On the command line" }
        (command(&format!("mesh -n {0} stat deploy/{1}\nmesh -n {0} routes deploy/{1}\nmesh -n {0} top deploy/{1}\nmesh -n {0} tap deploy/{1}", shell_word(namespace), shell_word(name))))
    })
}

fn stat_rows(app: &App, namespace: &str, resource: Resource) -> Result<Vec<StatRow>, ApiError> {
    let request = StatRequest {
        resources: vec![resource],
        namespaces: Namespaces::Named(namespace.to_owned()),
        side: None,
        window: Window::default(),
        unmeshed: true,
    };
    let tables = stat::tables(app, request)?.into_iter();
    Ok(tables.flat_map(|table| table.rows).collect())
}

fn summary(own: &StatRow, numbers: &Numbers, namespace: &str, name: &str) -> Markup {
    let latency = own.latency;
    let millis = |ms: Option<u64>| ms.map_or("-".into(), |ms| format!("{ms} ms"));
    html! {
        dl class="golden" {
            div { dt { "Health" } dd { (figures::mark(Health::of(own.success))) } }
            div { dt { "Success" } dd { (figures::success(own.success)) } }
            div { dt { "RPS" } dd { (figures::rate(own.rps)) } }
            div { dt { "P50" } dd { (millis(latency.latency_ms_p50)) } }
            div { dt { "P95" } dd { (millis(latency.latency_ms_p95)) } }
            div { dt { "P99" } dd { (millis(latency.latency_ms_p99)) } }
            div { dt { "10 minutes" } dd { (sparkline::sparkline(numbers.points(namespace, name))) } }
            div { dt { "Meshed" } dd { (own.meshed.as_deref().unwrap_or("-")) } }
            div { dt { "TCP open" } dd { (figures::count(own.tcp_open_connections)) } }
            div { dt { "Read" } dd { (figures::bytes(own.tcp_read_bytes_rate)) } }
            div { dt { "Written" } dd { (figures::bytes(own.tcp_write_bytes_rate)) } }
        }
    }
}

fn neighbours<'a>(
    label: &str,
    calls: &[&'a Call],
    other: impl Fn(&'a Call) -> (&'a String, &'a String),
) -> Markup {
    if calls.is_empty() {
        return html! { p class="empty" { "None in the last minute." } };
    }
    let head = html! {
        th scope="col" { "Workload" } th scope="col" { "Health" }
        th scope="col" class="number" { "Success" } th scope="col" class="number" { "RPS" }
        (figures::latency_heads()) th scope="col" class="number" { "TCP" }
    };
    let body = html! {
        @for call in calls {
            @let (namespace, name) = other(call);
            @let rate = rows::rate(call.responses);
            tr class=(Health::of(rate.success).word()) {
                th scope="row" { a href=(paths::workload(namespace, name)) { (name) } }
                td { (figures::mark(Health::of(rate.success))) }
                td class="number" { (figures::success(rate.success)) }
                td class="number" { (figures::rate(rate.rps)) }
                (figures::latency_cells(rows::latency(call.latency)))
                td class="number" { (figures::count(call.tcp.and_then(|tcp| tcp.open))) }
            }
        }
    };
    table(label, &head, &body)
}

/// Routes as the workload serves them.
fn served(app: &App, namespace: &str, name: &str) -> Result<Markup, ApiError> {
    let request = RoutesRequest {
        resource: Resource::named(Kind::Deployment, name),
        namespace: Some(namespace.to_owned()),
        to: None,
        window: Window::default(),
    };
    let tables = routes::tables(app, request)?;
    let mut rows: Vec<_> = tables.iter().flat_map(|table| &table.rows).collect();
    rows.sort_by(|one, other| {
        let key = |row: &RouteRow| Health::of(row.effective.success);
        key(one).cmp(&key(other))
    });
    Ok(html! {
        h2 { "Routes that it serves" }
        (table("Routes that it serves", &html! { (route_heads()) th scope="col" { "Service" } }, &html! {
            @for row in rows {
                tr class=(Health::of(row.effective.success).word()) {
                    th scope="row" { (row.route) }
                    td { (figures::mark(Health::of(row.effective.success))) }
                    td class="number" { (figures::success(row.effective.success)) }
                    td class="number" { (figures::rate(row.effective.rps)) }
                    (figures::latency_cells(row.latency))
                    td { (service_name(&row.authority)) }
                }
            }
        }))
    })
}

/// Routes as the workload calls them: effective, and actual with the attempts of retries.
fn called(
    app: &App,
    topology: &Topology,
    namespace: &str,
    name: &str,
    outbound: &[&Call],
) -> Result<Markup, ApiError> {
    let services = topology.services.iter().filter(|service| {
        outbound.iter().any(|call| {
            *call.dst_namespace == *service.namespace
                && service.workloads.iter().any(|it| **it == *call.dst)
        })
    });
    let mut rows = Vec::new();
    for service in services.take(MAX_CALLED) {
        let to = Peer::new(
            Resource::named(Kind::Service, &*service.name),
            Some(service.namespace.to_string()),
        );
        let request = RoutesRequest {
            resource: Resource::named(Kind::Deployment, name),
            namespace: Some(namespace.to_owned()),
            to: Some(to.map_err(ApiError::bad_request)?),
            window: Window::default(),
        };
        let tables = routes::tables(app, request)?.into_iter();
        let used = tables.flat_map(|table| table.rows);
        rows.extend(used.filter(|row| row.effective.rps.is_some() || row.actual.rps.is_some()));
    }
    if rows.is_empty() {
        return Ok(html! {});
    }
    rows.sort_by_key(|row| Health::of(row.effective.success));
    let head = html! {
        th scope="col" { "Route" } th scope="col" { "Health" }
        th scope="col" class="number" { "Effective success" } th scope="col" class="number" { "Effective RPS" }
        th scope="col" class="number" { "Actual success" } th scope="col" class="number" { "Actual RPS" }
        (figures::latency_heads()) th scope="col" { "Service" }
    };
    let body = html! {
        @for row in &rows {
            tr class=(Health::of(row.effective.success).word()) {
                th scope="row" { (row.route) }
                td { (figures::mark(Health::of(row.effective.success))) }
                td class="number" { (figures::success(row.effective.success)) }
                td class="number" { (figures::rate(row.effective.rps)) }
                td class="number" { (figures::success(row.actual.success)) }
                td class="number" { (figures::rate(row.actual.rps)) }
                (figures::latency_cells(row.latency))
                td { (service_name(&row.authority)) }
            }
        }
    };
    Ok(html! {
        h2 { "Routes that it calls" }
        p { "Effective is what it sees, retries included; actual counts each attempt." }
        (table("Routes that it calls", &head, &body))
    })
}

fn replicas(
    app: &App,
    topology: &Topology,
    namespace: &str,
    name: &str,
) -> Result<Markup, ApiError> {
    let mut workloads = topology.workloads.iter();
    let own = workloads.find(|it| *it.namespace == *namespace && *it.name == *name);
    let pods = own.map_or(&[][..], |workload| &workload.pods);
    let all = stat_rows(app, namespace, Resource::all(Kind::Pod))?;
    let rows: Vec<_> = all
        .iter()
        .filter(|row| pods.iter().any(|pod| *pod.name == *row.name))
        .collect();
    if rows.is_empty() {
        return Ok(
            html! { p class="empty" { "No replica runs. See why with " code { "mesh ps" } "." } },
        );
    }
    let head = html! {
        th scope="col" { "Replica" } th scope="col" { "Status" } th scope="col" class="number" { "Meshed" }
        th scope="col" class="number" { "Success" } th scope="col" class="number" { "RPS" }
        (figures::latency_heads()) th scope="col" class="number" { "TCP" }
    };
    let body = html! {
        @for row in rows {
            tr {
                th scope="row" { (row.name) }
                td { (row.status.as_deref().unwrap_or("-")) }
                td class="number" { (row.meshed.as_deref().unwrap_or("-")) }
                td class="number" { (figures::success(row.success)) }
                td class="number" { (figures::rate(row.rps)) }
                (figures::latency_cells(row.latency))
                td class="number" { (figures::count(row.tcp_open_connections)) }
            }
        }
    };
    Ok(table("Replicas", &head, &body))
}

fn connections(app: &App, namespace: &str, name: &str) -> Markup {
    let request = EdgesRequest {
        kind: Kind::Deployment,
        namespaces: Namespaces::Named(namespace.to_owned()),
    };
    let mut rows = edges::rows(app, request);
    rows.retain(|edge| {
        (edge.src == name && edge.src_namespace == namespace)
            || (edge.dst == name && edge.dst_namespace == namespace)
    });
    if rows.is_empty() {
        return html! { p class="empty" { "None in the last minute." } };
    }
    let head = html! {
        th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Secured" }
    };
    let body = html! {
        @for edge in rows {
            tr {
                td { (edge.src) } td { (edge.dst) }
                td {
                    @if edge.no_tls_reason.is_empty() { "TLS" } @else { "no TLS: " (edge.no_tls_reason) }
                }
            }
        }
    };
    table("Connections", &head, &body)
}

/// The resources of the services of the workload, as YAML.
fn rules(app: &App, topology: &Topology, namespace: &str, name: &str) -> Markup {
    let services = topology.services.iter();
    let services = services.filter(|service| {
        *service.namespace == *namespace && service.workloads.iter().any(|it| **it == *name)
    });
    let names: Vec<_> = services
        .map(|service| (topology.fqdn(service), service.name.clone()))
        .collect();
    let snapshot = app.index.snapshot();
    let manifests: Vec<_> = snapshot
        .resources
        .iter()
        .map(Manifest::from)
        .filter(|manifest| {
            let about = |(fqdn, _): &(String, _)| **fqdn == *manifest.key.name;
            names.iter().any(about)
        })
        .collect();
    html! {
        @if manifests.is_empty() {
            p class="empty" {
                "No ServiceProfile: all of its requests are of one route. Make one from an OpenAPI document:"
            }
            (command(&format!("mesh -n {} profile --open-api FILE {} | mesh apply -f -", shell_word(namespace), shell_word(names.first().map_or(name, |(_, short)| short)))))
        }
        @for manifest in manifests {
            details {
                summary { (manifest.key) }
                pre class="yaml" tabindex="0" { code { (manifest.to_yaml()) } }
            }
        }
    }
}
