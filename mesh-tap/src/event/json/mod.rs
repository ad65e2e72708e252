//! Events in the shape of `linkerd viz tap -o json`.
//!
//! Linkerd has no field for `query`, `httpVersion`, `reason`, `notRetried` and `grpcOk`. These are
//! ours and absent unless they have a value, so that the rest is the same to the byte.

mod form;

#[cfg(test)]
mod tests;

use self::form::{End, Endpoint, Header, Json, ProxyDirection, Request, Response};
use super::{
    Event, EventKind, Labels, Peer, RequestInit, ResponseEnd, ResponseInit, VERSIONS, version_name,
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use mesh_core::Direction;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = Json {
            source: endpoint(&self.source),
            destination: endpoint(&self.destination),
            route_meta: metadata(&self.route),
            proxy_direction: match self.direction {
                Direction::Inbound => ProxyDirection::Inbound,
                Direction::Outbound => ProxyDirection::Outbound,
            },
            request_init_event: None,
            response_init_event: None,
            response_end_event: None,
        };
        let id = self.id;
        match &self.kind {
            EventKind::Request(request) => {
                json.request_init_event = Some(Request {
                    id,
                    method: request.method.to_string(),
                    scheme: request.scheme.as_deref().unwrap_or_default().to_uppercase(),
                    authority: request.authority.clone(),
                    path: request.path.clone(),
                    query: request.query.clone(),
                    http_version: request.version.map(version_name).map(str::to_owned),
                    headers: request.headers.as_ref().map(headers),
                });
            }
            EventKind::Response(response) => {
                json.response_init_event = Some(Response {
                    id,
                    since_request_init: response.since_request.into(),
                    http_status: response.status.as_u16(),
                    http_version: response.version.map(version_name).map(str::to_owned),
                    headers: response.headers.as_ref().map(headers),
                });
            }
            EventKind::End(end) => {
                json.response_end_event = Some(End {
                    id,
                    since_request_init: end.since_request.into(),
                    since_response_init: end.since_response.map(Into::into),
                    response_bytes: end.bytes,
                    trailers: end.trailers.as_ref().map(headers),
                    grpc_status_code: end.grpc_status.unwrap_or(0).into(),
                    grpc_ok: end.grpc_status == Some(0),
                    reset_error_code: end.reset_code.unwrap_or(0),
                    reason: end.reason.as_deref().map(str::to_owned),
                    not_retried: end.not_retried.as_deref().map(str::to_owned),
                });
            }
        }
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let (id, kind) = if let Some(request) = json.request_init_event {
            let method = Method::from_bytes(request.method.as_bytes()).map_err(D::Error::custom)?;
            let scheme = request.scheme.to_lowercase();
            let init = RequestInit {
                method,
                scheme: (!scheme.is_empty()).then_some(scheme),
                authority: request.authority,
                path: request.path,
                query: request.query,
                version: version(request.http_version)?,
                headers: header_map(request.headers)?,
            };
            (request.id, EventKind::Request(init))
        } else if let Some(response) = json.response_init_event {
            let init = ResponseInit {
                since_request: response.since_request_init.into(),
                status: StatusCode::from_u16(response.http_status).map_err(D::Error::custom)?,
                version: version(response.http_version)?,
                headers: header_map(response.headers)?,
            };
            (response.id, EventKind::Response(init))
        } else if let Some(end) = json.response_end_event {
            let id = end.id;
            let end = ResponseEnd {
                since_request: end.since_request_init.into(),
                since_response: end.since_response_init.map(Into::into),
                bytes: end.response_bytes,
                grpc_status: u16::try_from(end.grpc_status_code)
                    .ok()
                    .filter(|code| *code > 0 || end.grpc_ok),
                reset_code: Some(end.reset_error_code).filter(|code| *code > 0),
                reason: end.reason.map(Cow::Owned),
                not_retried: end.not_retried.map(Cow::Owned),
                trailers: header_map(end.trailers)?,
            };
            (id, EventKind::End(end))
        } else {
            return Err(D::Error::custom(
                "an event without a requestInitEvent, responseInitEvent or responseEndEvent",
            ));
        };
        Ok(Self {
            id,
            direction: match json.proxy_direction {
                ProxyDirection::Inbound => Direction::Inbound,
                ProxyDirection::Outbound => Direction::Outbound,
            },
            source: peer(json.source)?,
            destination: peer(json.destination)?,
            route: json.route_meta.unwrap_or_default().into_iter().collect(),
            kind,
        })
    }
}

fn endpoint(peer: &Peer) -> Option<Endpoint> {
    if peer.addr.is_none() && peer.labels.is_empty() {
        return None;
    }
    Some(Endpoint {
        ip: peer
            .addr
            .map(|addr| addr.ip().to_string())
            .unwrap_or_default(),
        port: peer.addr.map_or(0, |addr| addr.port()),
        metadata: metadata(&peer.labels),
    })
}

fn peer<E: Error>(endpoint: Option<Endpoint>) -> Result<Peer, E> {
    let Some(endpoint) = endpoint else {
        return Ok(Peer::default());
    };
    let addr = match &*endpoint.ip {
        "" => None,
        ip => Some(SocketAddr::new(
            ip.parse().map_err(E::custom)?,
            endpoint.port,
        )),
    };
    Ok(Peer {
        addr,
        labels: endpoint.metadata.unwrap_or_default().into_iter().collect(),
    })
}

fn version<E: Error>(name: Option<String>) -> Result<Option<Version>, E> {
    let known = |name: String| {
        let mut all = VERSIONS.into_iter();
        all.find(|version| version_name(*version) == name)
            .ok_or_else(|| E::custom(format_args!("{name:?} is no version of HTTP")))
    };
    name.map(known).transpose()
}

fn metadata(labels: &Labels) -> Option<BTreeMap<String, String>> {
    (!labels.is_empty()).then(|| labels.iter().cloned().collect())
}

/// Standard base64; padding may be missing in what is read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn headers(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let text = std::str::from_utf8(value.as_bytes()).ok();
        Header {
            name: name.to_string(),
            value_str: text.map(str::to_owned),
            value_bin: text.is_none().then(|| BASE64.encode(value.as_bytes())),
        }
    };
    headers.iter().map(header).collect()
}

fn header_map<E: Error>(headers: Option<Vec<Header>>) -> Result<Option<HeaderMap>, E> {
    let Some(headers) = headers else {
        return Ok(None);
    };
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::try_from(header.name).map_err(E::custom)?;
        let value = match (header.value_str, header.value_bin) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(coded)) => {
                let bytes = BASE64.decode(&coded);
                bytes.map_err(|error| E::custom(format_args!("valueBin is not base64: {error}")))?
            }
            (None, None) => Vec::new(),
        };
        let value = HeaderValue::try_from(value).map_err(E::custom)?;
        map.append(name, value);
    }
    Ok(Some(map))
}
