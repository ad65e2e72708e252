//! Events in the shape of `linkerd viz tap -o json`.
//!
//! Where Linkerd has no field for something of ours (`query`, `httpVersion`, `reason`, `notRetried`, `grpcOk`), the field is ours and absent
//! unless it says something, so that the rest is the same to the byte.

use super::{
    Event, EventId, EventKind, Labels, Peer, RequestInit, ResponseEnd, ResponseInit, VERSIONS,
    version_name,
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use mesh_core::Direction;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr, time};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    source: Option<Endpoint>,
    destination: Option<Endpoint>,
    route_meta: Option<BTreeMap<String, String>>,
    proxy_direction: ProxyDirection,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    request_init_event: Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    response_init_event: Option<Response>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    response_end_event: Option<End>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ProxyDirection {
    Inbound,
    Outbound,
}

#[derive(Serialize, Deserialize)]
struct Endpoint {
    ip: String,
    port: u16,
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    id: EventId,
    method: String,
    scheme: String,
    authority: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    http_version: Option<String>,
    headers: Option<Vec<Header>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    id: EventId,
    since_request_init: Duration,
    http_status: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    http_version: Option<String>,
    headers: Option<Vec<Header>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    id: EventId,
    since_request_init: Duration,
    since_response_init: Option<Duration>,
    response_bytes: u64,
    trailers: Option<Vec<Header>>,
    grpc_status_code: u32,
    /// Ours: tells a stated 0 from no gRPC status.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    grpc_ok: bool,
    #[serde(skip_serializing_if = "is_zero", default)]
    reset_error_code: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    not_retried: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Duration {
    #[serde(skip_serializing_if = "is_zero64", default)]
    seconds: u64,
    #[serde(skip_serializing_if = "is_zero", default)]
    nanos: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value_str: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value_bin: Option<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_zero64(n: &u64) -> bool {
    *n == 0
}

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

impl From<time::Duration> for Duration {
    fn from(duration: time::Duration) -> Self {
        Self {
            seconds: duration.as_secs(),
            nanos: duration.subsec_nanos(),
        }
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_secs(duration.seconds).saturating_add(Self::from_nanos(duration.nanos.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request in the form of `linkerd viz tap -o json`.
    const REQUEST: &str = r#"{
  "source": {
    "ip": "10.0.0.1",
    "port": 50000,
    "metadata": null
  },
  "destination": {
    "ip": "ff01::1",
    "port": 80,
    "metadata": {
      "pod": "my-pod",
      "tls": "true"
    }
  },
  "routeMeta": null,
  "proxyDirection": "OUTBOUND",
  "requestInitEvent": {
    "id": {
      "base": 1,
      "stream": 0
    },
    "method": "GET",
    "scheme": "HTTPS",
    "authority": "localhost",
    "path": "/some/path",
    "headers": [
      {
        "name": "x-text",
        "valueStr": "some text"
      },
      {
        "name": "x-bytes",
        "valueBin": "/wk="
      }
    ]
  }
}"#;
    const END: &str = r#"{
  "source": null,
  "destination": null,
  "routeMeta": {
    "route": "GET /"
  },
  "proxyDirection": "INBOUND",
  "responseEndEvent": {
    "id": {
      "base": 1,
      "stream": 7
    },
    "sinceRequestInit": {
      "seconds": 10
    },
    "sinceResponseInit": {
      "nanos": 64000
    },
    "responseBytes": 1337,
    "trailers": null,
    "grpcStatusCode": 14
  }
}"#;

    #[test]
    fn json_is_that_of_linkerd_both_ways() {
        for text in [REQUEST, END] {
            let event: Event = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string_pretty(&event).unwrap(), text);
        }
    }

    #[test]
    fn a_stated_success_is_told_from_no_status() {
        let ok = END.replace(
            "\"grpcStatusCode\": 14",
            "\"grpcStatusCode\": 0,\n    \"grpcOk\": true",
        );
        let none = END.replace("\"grpcStatusCode\": 14", "\"grpcStatusCode\": 0");
        for (text, status) in [(ok, Some(0)), (none, None)] {
            let event: Event = serde_json::from_str(&text).unwrap();
            let EventKind::End(end) = &event.kind else {
                panic!("{event}");
            };
            assert_eq!(end.grpc_status, status);
            assert_eq!(serde_json::to_string_pretty(&event).unwrap(), text);
        }
    }

    #[test]
    fn a_version_and_a_query_are_read_back() {
        for name in ["HTTP/1.0", "HTTP/1.1", "HTTP/2"] {
            let ours =
                format!("some/path\",\n    \"query\": \"q=1\",\n    \"httpVersion\": \"{name}\"");
            let text = REQUEST.replace("some/path\"", &ours);
            let event: Event = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string_pretty(&event).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_an_event_is_refused() {
        for (from, to) in [
            ("requestInitEvent", "other"),
            ("10.0.0.1", "localhost"),
            ("GET", "G E T"),
            ("/wk=", "*"),
            ("x-text", ""),
            ("\"method\"", "\"httpVersion\": \"SPDY\", \"method\""),
        ] {
            let text = REQUEST.replace(from, to);
            assert!(serde_json::from_str::<Event>(&text).is_err(), "{to}");
        }
    }
}
