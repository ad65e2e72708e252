//! From the events of the wire to ours.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use linkerd2_proxy_api::{
    http_types::{Headers, scheme},
    net::TcpAddress,
    tap::{
        Eos, TapEvent, eos,
        tap_event::{self, EndpointMeta, ProxyDirection, http as wire},
    },
};
use mesh_tap::{
    Direction, Event, EventId, EventKind, Labels, Peer, RequestInit, ResponseEnd, ResponseInit,
};
use std::{collections::HashMap, time::Duration};

/// Reads an event of a sidecar; `None` for one that is incomplete or of an unknown kind.
///
/// The wire has no field for the reasons of an end: they are the route's labels `reason` and
/// `not_retried`.
pub fn event_from_wire(event: TapEvent) -> Option<Event> {
    let direction = match event.proxy_direction() {
        ProxyDirection::Inbound => Direction::Inbound,
        ProxyDirection::Outbound => Direction::Outbound,
        ProxyDirection::Unknown => return None,
    };
    let route = event.route_meta.map(|meta| meta.labels).unwrap_or_default();
    let tap_event::Event::Http(http) = event.event?;
    let (id, kind) = match http.event? {
        wire::Event::RequestInit(init) => (init.id, EventKind::Request(request(init)?)),
        wire::Event::ResponseInit(init) => (init.id, EventKind::Response(response(init)?)),
        wire::Event::ResponseEnd(end) => (end.id, EventKind::End(self::end(end, &route))),
    };
    let id = id?;
    Some(Event {
        id: EventId {
            base: id.base,
            stream: id.stream,
        },
        direction,
        source: peer(event.source, event.source_meta),
        destination: peer(event.destination, event.destination_meta),
        route: labels(route),
        kind,
    })
}

fn request(init: wire::RequestInit) -> Option<RequestInit> {
    Some(RequestInit {
        method: Method::try_from(init.method?).ok()?,
        scheme: init.scheme.and_then(|scheme| match scheme.r#type? {
            scheme::Type::Registered(number) => {
                let known = scheme::Registered::try_from(number).ok()?;
                Some(known.as_str_name().to_lowercase())
            }
            scheme::Type::Unregistered(name) => Some(name),
        }),
        authority: init.authority,
        path: init.path,
        // The wire has no place for these.
        query: None,
        version: None,
        headers: init.headers.map(headers),
    })
}

fn response(init: wire::ResponseInit) -> Option<ResponseInit> {
    let status = u16::try_from(init.http_status).ok()?;
    Some(ResponseInit {
        since_request: duration(init.since_request_init),
        status: StatusCode::from_u16(status).ok()?,
        version: None,
        headers: init.headers.map(headers),
    })
}

/// The wire has no field for our reasons; they are among the labels of the route.
fn end(end: wire::ResponseEnd, route: &HashMap<String, String>) -> ResponseEnd {
    let word = |name| route.get(name).cloned().map(Into::into);
    let (mut grpc_status, mut reset_code) = (None, None);
    match end.eos {
        Some(Eos {
            end: Some(eos::End::GrpcStatusCode(code)),
        }) => {
            grpc_status = u16::try_from(code).ok();
        }
        Some(Eos {
            end: Some(eos::End::ResetErrorCode(code)),
        }) => reset_code = Some(code),
        _ => {}
    }
    ResponseEnd {
        since_request: duration(end.since_request_init),
        since_response: end.since_response_init.map(|since| duration(Some(since))),
        bytes: end.response_bytes,
        grpc_status,
        reset_code,
        reason: word("reason"),
        not_retried: word("not_retried"),
        trailers: end.trailers.map(headers),
    }
}

fn duration(duration: Option<prost_types::Duration>) -> Duration {
    duration
        .and_then(|duration| duration.try_into().ok())
        .unwrap_or_default()
}

fn headers(wire: Headers) -> HeaderMap {
    let headers = wire.headers.into_iter().filter_map(|header| {
        let name = HeaderName::try_from(header.name).ok()?;
        Some((name, HeaderValue::try_from(header.value).ok()?))
    });
    headers.collect()
}

fn peer(addr: Option<TcpAddress>, meta: Option<EndpointMeta>) -> Peer {
    Peer {
        addr: addr.and_then(|addr| addr.try_into().ok()),
        labels: labels(meta.map(|meta| meta.labels).unwrap_or_default()),
    }
}

fn labels(labels: HashMap<String, String>) -> Labels {
    let mut sorted: Vec<_> = labels.into_iter().collect();
    sorted.sort_unstable();
    sorted.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkerd2_proxy_api::tap::tap_event::{Http, RouteMeta};
    use wire::StreamId;

    fn wire_event(event: wire::Event) -> TapEvent {
        let source: std::net::SocketAddr = "[::1]:51234".parse().unwrap();
        TapEvent {
            source: Some(source.into()),
            route_meta: Some(RouteMeta {
                labels: HashMap::from([
                    ("route".to_owned(), "GET /".to_owned()),
                    ("reason".to_owned(), "timeout".to_owned()),
                    ("not_retried".to_owned(), "limit".to_owned()),
                ]),
            }),
            proxy_direction: ProxyDirection::Outbound.into(),
            event: Some(tap_event::Event::Http(Http { event: Some(event) })),
            ..TapEvent::default()
        }
    }

    #[test]
    fn events_are_read_whole() {
        let request = wire::RequestInit {
            id: Some(StreamId { base: 1, stream: 7 }),
            method: Some(Method::GET.into()),
            scheme: Some("http".into()),
            authority: "books:7002".to_owned(),
            path: "/books".to_owned(),
            headers: None,
        };
        let read = event_from_wire(wire_event(wire::Event::RequestInit(request))).unwrap();
        assert_eq!(
            read.to_string(),
            "req id=1:7 proxy=out src=[::1]:51234 dst= tls= :method=GET :authority=books:7002 \
             :path=/books"
        );
        let end = wire::ResponseEnd {
            id: Some(StreamId { base: 1, stream: 7 }),
            response_bytes: 9,
            eos: Some(Eos::from_grpc_status(14)),
            ..wire::ResponseEnd::default()
        };
        let read = event_from_wire(wire_event(wire::Event::ResponseEnd(end))).unwrap();
        assert_eq!(
            read.to_string(),
            "end id=1:7 proxy=out src=[::1]:51234 dst= tls= grpc-status=Unavailable \
             reason=timeout not-retried=limit duration=0µs response-length=9B"
        );
    }

    #[test]
    fn what_is_incomplete_is_passed_over() {
        let request = wire_event(wire::Event::RequestInit(wire::RequestInit::default()));
        assert_eq!(event_from_wire(request), None);
        let status = wire::ResponseInit {
            id: Some(StreamId::default()),
            http_status: 7,
            ..wire::ResponseInit::default()
        };
        assert_eq!(
            event_from_wire(wire_event(wire::Event::ResponseInit(status))),
            None
        );
        assert_eq!(event_from_wire(TapEvent::default()), None);
    }
}
