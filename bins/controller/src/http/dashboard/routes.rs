//! The page of routes: those of every service of a namespace, with their settings.

use super::{
    Dashboard,
    figures::{self, Health},
    layout::{Section, command, shell_word, table},
    live::{self, Form},
    paths,
};
use crate::http::{ApiError, App, query::Query, routes::tables};
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use maud::{Markup, html};
use mesh_api::{Kind, Resource, RouteRow, RoutesRequest, Window};
use mesh_control::model;
use mesh_profile::{ProfileSpec, RouteSpec};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(super) fn routes() -> Router<Dashboard> {
    Router::new().route(paths::ROUTES, get(page))
}

/// The parameters of the page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    namespace: String,
    service: String,
}

async fn page(
    State(dashboard): State<Dashboard>,
    form: Form,
    Query(mut parameters): Query<Parameters>,
) -> Response {
    if parameters.namespace.is_empty() {
        parameters.namespace = dashboard.app.index.default_namespace().to_string();
    }
    let fixed = filter(&dashboard.app, &parameters);
    let head = (Section::Routes, "Routes", fixed);
    live::answer(&dashboard, form, head, move |dashboard| {
        content(&dashboard.app, &parameters)
    })
}

fn filter(app: &App, parameters: &Parameters) -> Markup {
    let snapshot = app.index.snapshot();
    let names = snapshot.services.iter().map(|(service, _)| &service.name);
    let namespaces = names.clone().map(|name| name.namespace.clone());
    let mut namespaces: BTreeSet<Arc<str>> = namespaces.collect();
    namespaces.insert((&*parameters.namespace).into());
    let services = names.filter(|name| *name.namespace == *parameters.namespace);
    let services: BTreeSet<_> = services.map(|name| name.service.clone()).collect();
    html! {
        form class="filter" method="get" action=(paths::ROUTES) {
            label { "Namespace "
                select name="namespace" {
                    @for name in namespaces {
                        option value=(name) selected[*name == *parameters.namespace] { (name) }
                    }
                }
            }
            label { "Service "
                select name="service" {
                    option value="" { "all" }
                    @for name in services {
                        option value=(name) selected[*name == *parameters.service] { (name) }
                    }
                }
            }
            button { "Show" }
        }
    }
}

fn content(app: &App, parameters: &Parameters) -> Result<Markup, ApiError> {
    let namespace = &parameters.namespace;
    // One question for all services: each question reads the counters of all sidecars.
    let request = RoutesRequest {
        resource: Resource::named(Kind::Namespace, namespace),
        namespace: Some(namespace.clone()),
        to: None,
        window: Window::default(),
    };
    let mut services: BTreeMap<String, Vec<RouteRow>> = BTreeMap::new();
    let tables = match tables(app, request) {
        Err(error) if error.status() == StatusCode::NOT_FOUND => Vec::new(),
        tables => tables?,
    };
    for row in tables.into_iter().flat_map(|it| it.rows) {
        let is_shown =
            parameters.service.is_empty() || service_name(&row.authority) == parameters.service;
        if is_shown && !row.authority.is_empty() {
            services.entry(row.authority.clone()).or_default().push(row);
        }
    }
    Ok(html! {
        @if services.is_empty() {
            p class="empty" {
                "There is no such service in " (namespace) ". A workload with a " code { "port" }
                " in mesh.yaml has one."
            }
        }
        @for (authority, rows) in services {
            @let spec = profile(app, namespace, &authority);
            (service(namespace, &authority, rows, spec.as_deref()))
        }
    })
}

fn profile(app: &App, namespace: &str, authority: &str) -> Option<Arc<ProfileSpec>> {
    let snapshot = app.index.snapshot();
    snapshot
        .resources
        .iter()
        .find_map(|resource| match resource {
            model::Resource::ServiceProfile(profile)
                if *profile.namespace == *namespace && *profile.name == *authority =>
            {
                Some(profile.spec.clone())
            }
            _ => None,
        })
}

fn service(
    namespace: &str,
    authority: &str,
    mut rows: Vec<RouteRow>,
    spec: Option<&ProfileSpec>,
) -> Markup {
    rows.sort_by_key(|row| Health::of(row.effective.success));
    let declared = spec.into_iter().flat_map(|spec| &spec.routes);
    let declared: BTreeMap<&str, &RouteSpec> =
        declared.map(|route| (&*route.name, route)).collect();
    let name = service_name(authority);
    let [flag, shown] = [namespace, name].map(shell_word);
    html! {
        h2 id=(name) { (name) }
        (table(&format!("Routes of {name}"), &html! {
            (route_heads()) th scope="col" { "Retryable" } th scope="col" { "Timeout" }
        }, &html! {
            @for row in &rows { (route(row, declared.get(&*row.route).copied())) }
        }))
        @match spec {
            Some(_) => {
                p { "Change what may be retried, and for how long a request may take:" }
                (command(&format!("mesh -n {flag} edit sp/{}", shell_word(authority))))
            }
            None => {
                p { "No ServiceProfile: all requests are of one route. Make one from an OpenAPI document:" }
                (command(&format!("mesh -n {flag} profile --open-api FILE {shown} | mesh apply -f -")))
            }
        }
    }
}

/// Heads of the columns from the name of a route to its latency.
pub(super) fn route_heads() -> Markup {
    html! {
        th scope="col" { "Route" } th scope="col" { "Health" }
        th scope="col" class="number" { "Success" } th scope="col" class="number" { "RPS" }
        (figures::latency_heads())
    }
}

fn route(row: &RouteRow, declared: Option<&RouteSpec>) -> Markup {
    let health = Health::of(row.effective.success);
    let is_retryable = declared.map(|route| route.is_retryable);
    html! {
        tr class=(health.word()) {
            th scope="row" { (row.route) }
            td { (figures::mark(health)) }
            td class="number" { (figures::success(row.effective.success)) }
            td class="number" { (figures::rate(row.effective.rps)) }
            (figures::latency_cells(row.latency))
            td { (match is_retryable { None => "-", Some(true) => "yes", Some(false) => "no" }) }
            td { (declared.and_then(|route| route.timeout.as_deref()).unwrap_or("-")) }
        }
    }
}

/// The first label of the full name of a service.
pub(super) fn service_name(authority: &str) -> &str {
    authority.split('.').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_api::Rate;

    #[test]
    fn hostile_names_of_routes_are_text() {
        let rows = vec![RouteRow {
            route: "<img src=x onerror=alert(1)>".into(),
            authority: "web.shop.svc.cluster.local".into(),
            effective: Rate {
                success: Some(0.5),
                rps: Some(1.0),
            },
            ..RouteRow::default()
        }];
        let text = service("shop'\"", "web.shop.svc.cluster.local", rows, None).into_string();
        assert!(
            text.contains("&lt;img src=x onerror=alert(1)&gt;"),
            "{text}"
        );
        assert!(!text.contains("<img"), "{text}");
        assert!(text.contains("failing"), "{text}");
    }
}
