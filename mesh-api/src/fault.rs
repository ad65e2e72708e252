use crate::{Question, Resource};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// `GET /api/v1/faults`: asks for the faults that are injected now, a list of [`Fault`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FaultsRequest {}

impl Question for FaultsRequest {
    const PATH: &'static str = "/api/v1/faults";
}

/// A fault that sidecars inject into requests to a service; `DELETE /api/v1/faults/{id}` removes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Fault {
    /// Its number.
    pub id: u64,
    /// Namespace of the service.
    pub namespace: String,
    /// The service that is called.
    pub service: String,
    /// Name of the route; absent for all requests.
    pub route: Option<String>,
    /// Share of the requests, above 0, at most 100.
    pub percent: f64,
    /// The fault.
    pub kind: FaultKind,
    /// The only workload whose requests are meant: `deploy/webapp`.
    pub from: Option<Resource>,
    /// Milliseconds since the epoch at which it ends by itself.
    pub ends_ms: u64,
}

/// Body of `POST /api/v1/faults`, which adds a fault; the answer is a [`Fault`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewFault {
    /// Namespace of the service and of the client; without it, the mesh's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The service that is called.
    pub service: String,
    /// Name of a route of its profile; without it, all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Share of the requests, above 0, at most 100.
    pub percent: f64,
    /// The fault.
    pub kind: FaultKind,
    /// The only workload whose requests are meant: `deploy/webapp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Resource>,
    /// Milliseconds after which it ends by itself, above 0.
    pub for_ms: u64,
}

/// Kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The request is answered with this HTTP status, from 400 to 599.
    Status(u16),
    /// A gRPC call is answered with this status, from 1 to 16.
    GrpcStatus(u16),
    /// The request is sent after a delay between these two.
    Delay {
        /// The shortest, in milliseconds.
        min_ms: u64,
        /// The longest, in milliseconds.
        max_ms: u64,
    },
    /// The connection breaks.
    Reset,
}

impl fmt::Display for FaultKind {
    /// As people write it: `status 503`, `delay 200ms..2s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::GrpcStatus(code) => write!(f, "grpc-status {code}"),
            Self::Delay { min_ms, max_ms } => {
                write!(f, "delay {:?}", Duration::from_millis(min_ms))?;
                match min_ms == max_ms {
                    true => Ok(()),
                    false => write!(f, "..{:?}", Duration::from_millis(max_ms)),
                }
            }
            Self::Reset => f.write_str("reset"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_as_people_and_programs_read_them() {
        for (kind, text, json) in [
            (FaultKind::Status(503), "status 503", r#"{"status":503}"#),
            (
                FaultKind::GrpcStatus(14),
                "grpc-status 14",
                r#"{"grpc_status":14}"#,
            ),
            (FaultKind::Reset, "reset", r#""reset""#),
            (
                FaultKind::Delay {
                    min_ms: 200,
                    max_ms: 2_000,
                },
                "delay 200ms..2s",
                r#"{"delay":{"min_ms":200,"max_ms":2000}}"#,
            ),
            (
                FaultKind::Delay {
                    min_ms: 50,
                    max_ms: 50,
                },
                "delay 50ms",
                r#"{"delay":{"min_ms":50,"max_ms":50}}"#,
            ),
        ] {
            assert_eq!(kind.to_string(), text);
            assert_eq!(serde_json::to_string(&kind).unwrap(), json);
            assert_eq!(serde_json::from_str::<FaultKind>(json).unwrap(), kind);
        }
    }
}
