use http::HeaderMap;
use linkerd2_proxy_api::{
    http_types::{Headers, headers::Header},
    tap::{
        Eos, TapEvent, eos,
        tap_event::{
            EndpointMeta, Event as Wire, Http, ProxyDirection, RouteMeta,
            http::{Event as Kind, RequestInit, ResponseEnd, ResponseInit, StreamId},
        },
    },
};
use mesh_tap::{Direction, Event, EventKind, Labels, Peer};
use std::{collections::HashMap, time::Duration};

/// `event`, as the wire has it.
///
/// The wire has no place for our reasons; they go with the route's labels, as `reason` and
/// `not_retried`.
pub(super) fn to_wire(event: Event) -> TapEvent {
    let Event {
        id,
        direction,
        source,
        destination,
        route,
        kind,
    } = event;
    let id = Some(StreamId {
        base: id.base,
        stream: id.stream,
    });
    let mut route = labels(&route);
    if let EventKind::End(end) = &kind {
        for (name, word) in [("reason", &end.reason), ("not_retried", &end.not_retried)] {
            route.extend(
                word.as_deref()
                    .map(|word| (name.to_owned(), word.to_owned())),
            );
        }
    }
    let kind = match kind {
        EventKind::Request(init) => Kind::RequestInit(RequestInit {
            id,
            method: Some(init.method.into()),
            scheme: init.scheme.as_deref().map(Into::into),
            authority: init.authority,
            path: init.path,
            headers: init.headers.as_ref().map(headers),
        }),
        EventKind::Response(init) => Kind::ResponseInit(ResponseInit {
            id,
            since_request_init: duration(init.since_request),
            http_status: init.status.as_u16().into(),
            headers: init.headers.as_ref().map(headers),
        }),
        EventKind::End(end) => {
            let status = end
                .grpc_status
                .map(|code| eos::End::GrpcStatusCode(code.into()));
            let reset = end.reset_code.map(eos::End::ResetErrorCode);
            let how = reset.or(status).map(|end| Eos { end: Some(end) });
            Kind::ResponseEnd(ResponseEnd {
                id,
                since_request_init: duration(end.since_request),
                since_response_init: end.since_response.and_then(duration),
                response_bytes: end.bytes,
                eos: how,
                trailers: end.trailers.as_ref().map(headers),
            })
        }
    };
    let meta = |peer: &Peer| EndpointMeta {
        labels: labels(&peer.labels),
    };
    let direction = match direction {
        Direction::Inbound => ProxyDirection::Inbound,
        Direction::Outbound => ProxyDirection::Outbound,
    };
    TapEvent {
        source_meta: Some(meta(&source)),
        source: source.addr.map(Into::into),
        destination_meta: Some(meta(&destination)),
        destination: destination.addr.map(Into::into),
        route_meta: Some(RouteMeta { labels: route }),
        proxy_direction: direction.into(),
        event: Some(Wire::Http(Http { event: Some(kind) })),
    }
}

fn labels(labels: &Labels) -> HashMap<String, String> {
    labels.iter().cloned().collect()
}

fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

fn headers(headers: &HeaderMap) -> Headers {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec(),
    };
    Headers {
        headers: headers.iter().map(header).collect(),
    }
}

#[cfg(test)]
mod tests;
