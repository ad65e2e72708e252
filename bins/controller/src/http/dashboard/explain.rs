//! The page that explains which destination and which route a request gets.

use super::{
    Dashboard,
    layout::{self, Page, Section, command, table},
    paths,
};
use crate::http::{
    ApiError,
    destination::{self, Destination},
    query::Query,
};
use axum::{
    Router,
    extract::State,
    http::{Method, Uri},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use maud::{Markup, html};
use mesh_api::{DestinationRequest, Leaf};
use mesh_profile::{Profile, Route};
use serde::Deserialize;
use std::time::Duration;

/// The most routes that are listed as passed over: the last ones, which are most like the chosen.
const MAX_PASSED_OVER: usize = 20;

pub(super) fn routes() -> Router<Dashboard> {
    Router::new().route(paths::EXPLAIN, get(page))
}

/// The parameters of the page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    method: String,
    url: String,
    host: String,
    namespace: String,
    /// The client, as in `deploy/webapp`.
    from: String,
}

async fn page(
    State(dashboard): State<Dashboard>,
    Query(parameters): Query<Parameters>,
) -> Response {
    let app = &dashboard.app;
    let result = (!parameters.url.trim().is_empty()).then(|| result(&dashboard, &parameters));
    let status = match &result {
        Some(Err(error)) => error.status(),
        _ => axum::http::StatusCode::OK,
    };
    let page = Page {
        section: Section::Explain,
        title: "Explain a request",
        fixed: html! {
            (form(&parameters))
            @match result {
                None => p class="empty" {
                    "Give a method and a URL, such as " code { "http://books:7002/books.json" }
                    ", to see where such a request goes and why."
                },
                Some(Ok(markup)) => (markup),
                Some(Err(error)) => p class="empty" role="alert" { (error) "." },
            }
        },
        live: None,
        scripts: &[],
    };
    (status, Html(page.render(app).into_string())).into_response()
}

fn form(parameters: &Parameters) -> Markup {
    let method = match parameters.method.as_str() {
        "" => "GET",
        method => method,
    };
    html! {
        form class="filter" method="get" action=(paths::EXPLAIN) {
            label { "Method " input name="method" value=(method) size="8" required; }
            label { "URL " input name="url" value=(parameters.url) size="40" required; }
            label { "Host header " input name="host" value=(parameters.host) size="16"; }
            label { "From " input name="from" value=(parameters.from) size="16" placeholder="deploy/webapp"; }
            label { "Namespace " input name="namespace" value=(parameters.namespace) size="12"; }
            button { "Explain" }
        }
    }
}

/// The authority and the path of the request.
fn target(parameters: &Parameters) -> Result<(String, String), ApiError> {
    let text = parameters.url.trim();
    let is_whole = text.starts_with('/') || text.contains("://");
    let url = if is_whole {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url: Uri = url.parse().map_err(|error| {
        ApiError::bad_request(format_args!(
            "{text:?} is no URL ({error}); write http://SERVICE:PORT/PATH"
        ))
    })?;
    if !matches!(url.scheme_str(), None | Some("http")) {
        return Err(ApiError::bad_request(
            "the mesh sees no request in a connection of another scheme than http",
        ));
    }
    let authority = url.authority().map(ToString::to_string);
    let host = parameters.host.trim();
    let host = (!host.is_empty()).then(|| host.to_owned());
    let authority = authority.or(host).ok_or_else(|| {
        ApiError::bad_request(
            "the URL names no service: write http://SERVICE:PORT/PATH, or fill in Host",
        )
    })?;
    Ok((authority, url.path().to_owned()))
}

fn result(dashboard: &Dashboard, parameters: &Parameters) -> Result<Markup, ApiError> {
    let (authority, path) = target(parameters)?;
    let method = match parameters.method.trim().to_ascii_uppercase() {
        method if method.is_empty() => Method::GET,
        method => method.parse().map_err(|_| {
            ApiError::bad_request(format_args!("{method:?} is no method; write one like GET"))
        })?,
    };
    let app = &dashboard.app;
    let namespace = match parameters.namespace.trim() {
        "" => app.index.default_namespace().to_string(),
        namespace => namespace.to_owned(),
    };
    let from = match parameters.from.trim() {
        "" => None,
        from => Some(from.parse().map_err(ApiError::bad_request)?),
    };
    let request = DestinationRequest {
        authority: authority.clone(),
        namespace: Some(namespace.clone()),
        from,
    };
    let destination = destination::answer(app, request)?;
    let mut line = vec!["mesh", "-n", &namespace, "explain", method.as_str()];
    let url = format!("http://{authority}{path}");
    line.push(&url);
    if !parameters.from.trim().is_empty() {
        line.extend(["--from", parameters.from.trim()]);
    }
    let line: Vec<_> = line.into_iter().map(layout::shell_word).collect();
    Ok(html! {
        (explanation(&destination, &method, &path))
        h2 { "On the command line" }
        (command(&line.join(" ")))
    })
}

fn explanation(destination: &Destination, method: &Method, path: &str) -> Markup {
    let (profile, _) = Profile::compile_lenient(destination.profile.clone());
    let route = profile.route_for(method, path);
    let why = profile.explain(method, path);
    let budget = profile.budget();
    let hidden = why.passed_over.len().saturating_sub(MAX_PASSED_OVER);
    html! {
        dl class="facts" {
            dt { "Request" } dd { code { (method) " " (destination.authority) (path) } }
            dt { "Destination" }
            dd {
                @match &destination.name {
                    Some(name) => code { (name) },
                    None => { code { (destination.authority) } ", which is not in the mesh: found by DNS and passed through" }
                }
                @if let Some(hint) = &destination.hint { p class="hint" { (hint) } }
            }
            dt { "Profile" }
            dd {
                @match &destination.resource {
                    Some(profile) => code { (profile.namespace) "/" (profile.name) },
                    None => "none",
                }
            }
            dt { "Route" } dd { strong { (route.name()) } ", because " (if destination.resource.is_some() { &*why.reason } else { "there is no profile" }) }
            dt { "Timeout" }
            dd {
                @match route.timeouts().head {
                    Some(limit) => { (format!("{limit:?}")) ", retries included" }
                    None => "none",
                }
            }
            dt { "Retry" }
            dd {
                @if route.is_retryable() {
                    "failures, within the budget: " (budget.ratio() * 100.0) "% of requests and "
                    (budget.min_per_second()) " a second, over " (format!("{:?}", Duration::from_millis(u64::try_from(budget.ttl().as_millis()).unwrap_or(u64::MAX))))
                } @else { (if route.name() == Route::DEFAULT_NAME { "never: no route says that it may be" } else { "never: the route is not isRetryable" }) }
            }
        }
        @if !destination.leaves.is_empty() { (leaves(&destination.leaves)) }
        @if !why.passed_over.is_empty() {
            h2 { "Routes passed over" }
            @if hidden > 0 { p { (hidden) " routes before the following" } }
            (table("Routes passed over", &html! { th scope="col" { "Route" } th scope="col" { "Why not" } }, &html! {
                @for passed in &why.passed_over[hidden..] {
                    tr { th scope="row" { (passed.route) } td { (passed.reason) } }
                }
            }))
        }
    }
}

fn leaves(leaves: &[Leaf]) -> Markup {
    let total: u64 = leaves.iter().map(|leaf| u64::from(leaf.weight)).sum();
    html! {
        h2 { "Where it goes" }
        (table("Where it goes", &html! {
            th scope="col" class="number" { "Share" } th scope="col" { "Service" } th scope="col" { "Endpoints" }
        }, &html! {
            @for leaf in leaves {
                tr {
                    td class="number" { (format!("{:.1}%", f64::from(leaf.weight) / total.max(1) as f64 * 100.0)) }
                    th scope="row" { (leaf.authority) }
                    td {
                        @if !leaf.exists { "there is no such service" }
                        @else if leaf.endpoints.is_empty() { "no endpoint is ready" }
                        @for endpoint in &leaf.endpoints {
                            code { (endpoint.addr) } " "
                            @if let Some(pod) = endpoint.labels.get("pod") { "(" (pod) ") " }
                        }
                    }
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_service_or_the_host_does() {
        let of = |url: &str, host: &str| {
            let parameters = Parameters {
                url: url.into(),
                host: host.into(),
                ..Parameters::default()
            };
            target(&parameters).map_err(|error| error.to_string())
        };
        let pair = |one: &str, other: &str| Ok((one.to_owned(), other.to_owned()));
        assert_eq!(of("http://books:7002/a?b", ""), pair("books:7002", "/a"));
        assert_eq!(of("books:7002/a", ""), pair("books:7002", "/a"));
        assert_eq!(of("/a", "books:7002"), pair("books:7002", "/a"));
        assert!(of("/a", "").is_err() && of("https://a/", "").is_err() && of("a b", "").is_err());
    }
}
