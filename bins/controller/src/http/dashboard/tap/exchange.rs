//! One exchange as a row that opens.

use http::HeaderMap;
use maud::{Markup, html};
use mesh_tap::{Direction, Event, Peer, RequestInit, ResponseEnd, ResponseInit, grpc_name};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// gRPC statuses that are failures of the server.
const GRPC_FAILURES: [u16; 5] = [2, 4, 13, 14, 15];

/// An exchange whose end is awaited.
pub(super) struct Exchange {
    request: RequestInit,
    pub(super) response: Option<ResponseInit>,
}

impl Exchange {
    pub(super) fn new(request: RequestInit) -> Self {
        Self {
            request,
            response: None,
        }
    }
}

/// The row of an exchange that ended with `event`.
pub(super) fn row(
    event: &Event,
    exchange: &Exchange,
    end: &ResponseEnd,
    now: SystemTime,
) -> Markup {
    let Exchange { request, response } = exchange;
    let began = now.checked_sub(end.since_request).unwrap_or(now);
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let status = response.as_ref().map(|response| response.status);
    let is_failure = status.is_none_or(|status| status.is_server_error())
        || end.reason.is_some()
        || end
            .grpc_status
            .is_some_and(|code| GRPC_FAILURES.contains(&code));
    let latency = response
        .as_ref()
        .map_or(end.since_request, |it| it.since_request);
    html! {
        details class={ "exchange" @if is_failure { " failing" } } {
            summary {
                time data-ms=(began.as_millis()) { }
                span class="method" { (request.method) }
                span class="path" { (request.path) }
                span class={ "status mark " (if is_failure { "failing" } else { "healthy" }) } {
                    span aria-hidden="true" { (if is_failure { "✕" } else { "✓" }) } " "
                    @match status { Some(status) => (status.as_u16()), None => "none" }
                    @if let Some(reason) = &end.reason { " " (reason) }
                    @if let Some(code) = end.grpc_status.filter(|code| *code != 0) { " gRPC " (grpc(code)) }
                }
                span class="latency" { (time(latency)) }
                span class="peers" { (name(&event.source)) " → " (name(&event.destination)) }
                @if event.attempt() > 1 { span class="attempt" { "attempt " (event.attempt()) } }
            }
            (facts(event, request, response.as_ref(), end))
            (headers("Request headers", request.headers.as_ref()))
            (headers("Response headers", response.as_ref().and_then(|it| it.headers.as_ref())))
            (headers("Trailers", end.trailers.as_ref()))
        }
    }
}

fn facts(
    event: &Event,
    request: &RequestInit,
    response: Option<&ResponseInit>,
    end: &ResponseEnd,
) -> Markup {
    let side = match event.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    html! {
        dl class="facts" {
            dt { "Request" }
            dd { code {
                (request.method) " " (request.scheme.as_deref().unwrap_or("http")) "://" (request.authority) (request.path)
                @if let Some(query) = &request.query { "?" (query) }
            } }
            dt { "Seen by" } dd { "the " (side) " side of a sidecar" }
            dt { "Route" } dd { (event.route_name().unwrap_or("[DEFAULT]")) }
            dt { "Attempt" } dd { (event.attempt()) @if let Some(reason) = &end.not_retried { ", not retried: " (reason) } }
            dt { "Source" } dd { (peer(&event.source)) }
            dt { "Destination" } dd { (peer(&event.destination)) }
            dt { "Response" }
            dd {
                @match response {
                    Some(response) => { (response.status) ", head after " (time(response.since_request)) },
                    None => "none came",
                }
                ", over after " (time(end.since_request)) ", " (end.bytes) " bytes"
            }
            @if let Some(reason) = &end.reason { dt { "Reason" } dd { (reason) } }
            @if let Some(code) = end.grpc_status { dt { "gRPC status" } dd { (grpc(code)) " (" (code) ")" } }
            @if let Some(code) = end.reset_code { dt { "HTTP/2 error code" } dd { (code) } }
        }
    }
}

fn grpc(code: u16) -> String {
    grpc_name(code).map_or_else(|| format!("code {code}"), str::to_owned)
}

fn time(duration: Duration) -> String {
    match duration {
        short if short < Duration::from_millis(1) => format!("{} µs", short.as_micros()),
        medium if medium < Duration::from_secs(1) => format!("{} ms", medium.as_millis()),
        long => format!("{:.2} s", long.as_secs_f64()),
    }
}

fn name(peer: &Peer) -> String {
    let known = peer.label("pod").or(peer.label("deployment"));
    match (known, peer.addr) {
        (Some(name), _) => name.to_owned(),
        (None, Some(addr)) => addr.to_string(),
        (None, None) => "unknown".to_owned(),
    }
}

fn peer(peer: &Peer) -> Markup {
    let mut labels: Vec<_> = peer.labels.iter().collect();
    labels.sort_unstable();
    html! {
        @if let Some(addr) = peer.addr { code { (addr) } " " }
        @for (name, value) in labels { code { (name) "=" (value) } " " }
    }
}

fn headers(title: &str, headers: Option<&HeaderMap>) -> Markup {
    let Some(headers) = headers.filter(|headers| !headers.is_empty()) else {
        return html! {};
    };
    html! {
        h3 { (title) }
        dl class="facts" {
            @for (name, value) in headers {
                dt { code { (name.as_str()) } }
                dd { code { (String::from_utf8_lossy(value.as_bytes())) } }
            }
        }
    }
}
