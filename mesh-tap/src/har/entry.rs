use super::time::iso8601;
use crate::{Event, RequestInit, ResponseEnd, ResponseInit, event::version_name};
use http::{
    HeaderMap,
    header::{CONTENT_TYPE, LOCATION},
};
use mesh_core::Direction;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// HAR wants a text where an event of another process says nothing.
const UNKNOWN: &str = "unknown";

/// One exchange, as HAR 1.2 has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    started_date_time: String,
    /// Milliseconds, as are all times.
    time: f64,
    request: Request,
    response: Response,
    cache: Empty,
    timings: Timings,
    #[serde(rename = "serverIPAddress", skip_serializing_if = "Option::is_none")]
    server_ip_address: Option<String>,
    #[serde(rename = "_direction")]
    direction: &'static str,
    #[serde(rename = "_route", skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(rename = "_attempt")]
    attempt: u32,
    #[serde(rename = "_reason", skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(rename = "_notRetried", skip_serializing_if = "Option::is_none")]
    not_retried: Option<String>,
    #[serde(rename = "_grpcStatus", skip_serializing_if = "Option::is_none")]
    grpc_status: Option<u16>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    http_version: &'static str,
    cookies: [Empty; 0],
    headers: Vec<Header>,
    query_string: Vec<Header>,
    headers_size: i8,
    body_size: i8,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status: u16,
    status_text: &'static str,
    http_version: &'static str,
    cookies: [Empty; 0],
    headers: Vec<Header>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i8,
    /// -1 if there was no response.
    body_size: i64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    size: u64,
    mime_type: String,
}

#[derive(Clone, Debug, Serialize)]
struct Timings {
    send: f64,
    wait: f64,
    receive: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Clone, Debug, Serialize)]
struct Empty {}

impl Entry {
    pub(super) fn new(
        event: &Event,
        request: &RequestInit,
        response: Option<&ResponseInit>,
        end: &ResponseEnd,
        began: SystemTime,
    ) -> Self {
        let wait = response.map_or(end.since_request, |response| response.since_request);
        let receive = end.since_response.unwrap_or_default();
        Self {
            started_date_time: iso8601(began),
            time: millis(wait) + millis(receive),
            request: Request::new(event, request),
            response: Response::new(response, end),
            cache: Empty {},
            timings: Timings {
                send: 0.0,
                wait: millis(wait),
                receive: millis(receive),
            },
            server_ip_address: event.destination.addr.map(|addr| addr.ip().to_string()),
            direction: match event.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            route: event.route_name().map(str::to_owned),
            attempt: event.attempt(),
            reason: end.reason.as_deref().map(str::to_owned),
            not_retried: end.not_retried.as_deref().map(str::to_owned),
            grpc_status: end.grpc_status,
        }
    }
}

impl Request {
    fn new(event: &Event, request: &RequestInit) -> Self {
        let scheme = request.scheme.as_deref().unwrap_or("http");
        // A URL in HAR is absolute.
        let authority = match (&*request.authority, event.destination.addr) {
            ("", Some(addr)) => addr.to_string(),
            ("", None) => UNKNOWN.to_owned(),
            (authority, _) => authority.to_owned(),
        };
        let (mark, query) = match &request.query {
            Some(query) => ("?", &**query),
            None => ("", ""),
        };
        Self {
            method: request.method.to_string(),
            url: format!("{scheme}://{authority}{}{mark}{query}", request.path),
            http_version: request.version.map_or(UNKNOWN, version_name),
            cookies: [],
            headers: request.headers.as_ref().map_or_else(Vec::new, headers),
            query_string: parameters(query),
            headers_size: -1,
            body_size: -1,
        }
    }
}

impl Response {
    fn new(response: Option<&ResponseInit>, end: &ResponseEnd) -> Self {
        let known = response.and_then(|response| response.headers.as_ref());
        let mut all = known.map_or_else(Vec::new, headers);
        // HAR has no trailers; they are headers that came late.
        all.extend(end.trailers.iter().flat_map(headers));
        let mime_type = known.and_then(|headers| headers.get(CONTENT_TYPE)?.to_str().ok());
        let status = response.map(|response| response.status);
        let version = response.and_then(|response| response.version);
        let location = known.and_then(|headers| headers.get(LOCATION)?.to_str().ok());
        Self {
            status: status.map_or(0, |status| status.as_u16()),
            status_text: status.and_then(|s| s.canonical_reason()).unwrap_or(""),
            http_version: version.map_or(UNKNOWN, version_name),
            cookies: [],
            headers: all,
            content: Content {
                size: end.bytes,
                mime_type: mime_type.unwrap_or("x-unknown").to_owned(),
            },
            redirect_url: location.unwrap_or("").to_owned(),
            headers_size: -1,
            body_size: response.map_or(-1, |_| i64::try_from(end.bytes).unwrap_or(i64::MAX)),
        }
    }
}

/// Values that are no text are shown as well as can be.
fn headers(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
        name: name.to_string(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    headers.iter().map(header).collect()
}

/// The parameters of a query, as they are written.
fn parameters(query: &str) -> Vec<Header> {
    let parameters = query.split('&').filter(|pair| !pair.is_empty());
    let parameter = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    };
    parameters.map(parameter).collect()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
