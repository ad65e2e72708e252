//! The fields of an event's JSON, by their names in it.

use crate::EventId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Json {
    pub(super) source: Option<Endpoint>,
    pub(super) destination: Option<Endpoint>,
    pub(super) route_meta: Option<BTreeMap<String, String>>,
    pub(super) proxy_direction: ProxyDirection,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) request_init_event: Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) response_init_event: Option<Response>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) response_end_event: Option<End>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ProxyDirection {
    Inbound,
    Outbound,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) ip: String,
    pub(super) port: u16,
    pub(super) metadata: Option<BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) id: EventId,
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) http_version: Option<String>,
    pub(super) headers: Option<Vec<Header>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    pub(super) id: EventId,
    pub(super) since_request_init: Duration,
    pub(super) http_status: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) http_version: Option<String>,
    pub(super) headers: Option<Vec<Header>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct End {
    pub(super) id: EventId,
    pub(super) since_request_init: Duration,
    pub(super) since_response_init: Option<Duration>,
    pub(super) response_bytes: u64,
    pub(super) trailers: Option<Vec<Header>>,
    pub(super) grpc_status_code: u32,
    /// Ours: tells a stated 0 from no gRPC status.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) grpc_ok: bool,
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) reset_error_code: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) not_retried: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Duration {
    #[serde(skip_serializing_if = "is_zero64", default)]
    pub(super) seconds: u64,
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) nanos: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) value_str: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) value_bin: Option<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_zero64(n: &u64) -> bool {
    *n == 0
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
