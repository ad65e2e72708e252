//! One event of a tap: a request, a response or the end of one.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Names and values.
pub type Labels = BTreeMap<String, String>;

/// What was seen of an exchange, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TapEvent {
    /// Who sent the request.
    pub source: Endpoint,
    /// Who got it.
    pub destination: Endpoint,
    /// What is known of the route: `route` is its name.
    pub route_meta: Option<Labels>,
    /// `INBOUND` or `OUTBOUND`: which side of the sidecar saw it.
    pub proxy_direction: String,
    /// It began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_init_event: Option<RequestInit>,
    /// The response's head came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_init_event: Option<ResponseInit>,
    /// It ended, well or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_end_event: Option<ResponseEnd>,
}

impl TapEvent {
    /// The exchange it belongs to.
    pub fn id(&self) -> Id {
        let request = self.request_init_event.as_ref().map(|event| event.id);
        let response = self.response_init_event.as_ref().map(|event| event.id);
        let end = self.response_end_event.as_ref().map(|event| event.id);
        request.or(response).or(end).unwrap_or_default()
    }
}

/// One side of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// What is known of it: `pod`, `deployment`, `tls`, ...
    pub metadata: Option<Labels>,
}

impl Endpoint {
    /// What is known of it under `name`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.get(name).map(String::as_str)
    }
}

/// Tells exchanges apart.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Id {
    /// The tap, of one sidecar.
    pub base: u32,
    /// The exchange.
    pub stream: u64,
}

/// A time span, as seconds and the rest; what is zero is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Since {
    /// Whole seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub seconds: u64,
    /// Nanoseconds beyond them.
    #[serde(skip_serializing_if = "is_zero")]
    pub nanos: u32,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<Duration> for Since {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: duration.as_secs(),
            nanos: duration.subsec_nanos(),
        }
    }
}

impl From<Since> for Duration {
    fn from(since: Since) -> Self {
        // Whatever came over the wire: too many nanoseconds are carried over, not a panic.
        Self::from_secs(since.seconds).saturating_add(Self::from_nanos(since.nanos.into()))
    }
}

/// A request begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestInit {
    /// The exchange.
    pub id: Id,
    /// `GET`.
    pub method: String,
    /// `HTTP` or `HTTPS`.
    pub scheme: String,
    /// Host and port, as the request names them.
    pub authority: String,
    /// The path, without query.
    pub path: String,
    /// The headers, if they were asked for.
    #[serde(default)]
    pub headers: Vec<Header>,
}

/// A response's head is here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseInit {
    /// The exchange.
    pub id: Id,
    /// Since the request began.
    pub since_request_init: Since,
    /// The status.
    pub http_status: u16,
    /// The headers, if they were asked for.
    #[serde(default)]
    pub headers: Vec<Header>,
}

/// A response ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseEnd {
    /// The exchange.
    pub id: Id,
    /// Since the request began.
    pub since_request_init: Since,
    /// Since the response's head; none if there was none.
    pub since_response_init: Option<Since>,
    /// The length of its body.
    pub response_bytes: u64,
    /// The trailers, if headers were asked for.
    #[serde(default)]
    pub trailers: Vec<Header>,
    /// The gRPC status, of a gRPC call that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_status_code: Option<u32>,
    /// The HTTP/2 error code it was broken off with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_error_code: Option<u32>,
}

/// A header or trailer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(flatten)]
    pub value: HeaderValue,
}

/// A header's value: text, or base64 of what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderValue {
    /// Text.
    #[serde(rename = "valueStr")]
    Text(String),
    /// Base64.
    #[serde(rename = "valueBin")]
    Binary(String),
}

impl Header {
    /// A header of whatever bytes.
    pub fn new(name: impl Into<String>, value: &[u8]) -> Self {
        Self {
            name: name.into(),
            value: match std::str::from_utf8(value) {
                Ok(text) => HeaderValue::Text(text.to_owned()),
                Err(_) => HeaderValue::Binary(base64(value)),
            },
        }
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(index).copied().unwrap_or(0));
        }
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let is_padding = digit > chunk.len();
            out.push(if is_padding {
                '='
            } else {
                ALPHABET[value as usize].into()
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_base64_as_in_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn an_event_has_the_shape_other_tools_read() {
        let event = TapEvent {
            proxy_direction: "OUTBOUND".to_owned(),
            response_end_event: Some(ResponseEnd {
                since_request_init: Duration::from_secs(10).into(),
                since_response_init: Some(Duration::new(0, 5).into()),
                trailers: vec![Header::new("a", b"b"), Header::new("c", &[0xff])],
                grpc_status_code: Some(0),
                ..ResponseEnd::default()
            }),
            ..TapEvent::default()
        };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            r#"{"source":{"ip":null,"port":0,"metadata":null},"destination":{"ip":null,"port":0,"metadata":null},"routeMeta":null,"proxyDirection":"OUTBOUND","responseEndEvent":{"id":{"base":0,"stream":0},"sinceRequestInit":{"seconds":10},"sinceResponseInit":{"nanos":5},"responseBytes":0,"trailers":[{"name":"a","valueStr":"b"},{"name":"c","valueBin":"/w=="}],"grpcStatusCode":0}}"#
        );
        assert_eq!(serde_json::from_str::<TapEvent>(&json).unwrap(), event);
    }
}
