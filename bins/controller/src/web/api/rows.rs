//! What the mesh is doing, in numbers.

use super::Kind;
use serde::{Deserialize, Serialize, Serializer};

/// The traffic of the resources of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatTable {
    /// The kind.
    pub kind: Kind,
    /// One row for each resource, by namespace and name.
    pub rows: Vec<StatRow>,
}

/// The traffic of one resource; what is unknown is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it, with their units")]
pub struct StatRow {
    pub namespace: String,
    /// The full name of the kind.
    pub kind: String,
    pub name: String,
    /// Of a pod: `Running`, `Pending` or `Terminating`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Replicas with a sidecar, of all: `1/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meshed: Option<String>,
    /// Between 0 and 1.
    #[serde(serialize_with = "short")]
    pub success: Option<f64>,
    #[serde(serialize_with = "short")]
    pub rps: Option<f64>,
    #[serde(flatten)]
    pub latency: Latency,
    pub tcp_open_connections: Option<u64>,
    #[serde(serialize_with = "short")]
    pub tcp_read_bytes_rate: Option<f64>,
    #[serde(serialize_with = "short")]
    pub tcp_write_bytes_rate: Option<f64>,
}

/// Latency percentiles in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub latency_ms_p50: Option<u64>,
    pub latency_ms_p95: Option<u64>,
    pub latency_ms_p99: Option<u64>,
}

/// The routes of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    /// The resource, in short form: `deploy/webapp`.
    pub resource: String,
    /// One row for each route of each service, by service and route.
    pub rows: Vec<RouteRow>,
}

/// The traffic of one route; what is unknown is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteRow {
    /// The route's name, `[DEFAULT]` for requests that match none.
    pub route: String,
    /// The service's name, in full.
    pub authority: String,
    /// As the callers saw it, retries included.
    #[serde(flatten, with = "effective")]
    pub effective: Rate,
    /// Each attempt; only known of requests away from a workload.
    #[serde(flatten, with = "actual")]
    pub actual: Rate,
    /// As the callers saw it.
    #[serde(flatten)]
    pub latency: Latency,
}

/// How many, and how many of them well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Between 0 and 1.
    #[serde(serialize_with = "short")]
    pub success: Option<f64>,
    /// A second.
    #[serde(serialize_with = "short")]
    pub rps: Option<f64>,
}

/// Writes a [`Rate`] under names of its own.
macro_rules! rate_as {
    ($module:ident, $success:literal, $rps:literal) => {
        mod $module {
            use super::Rate;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize, Deserialize)]
            struct Named {
                #[serde(rename = $success, serialize_with = "super::short")]
                success: Option<f64>,
                #[serde(rename = $rps, serialize_with = "super::short")]
                rps: Option<f64>,
            }

            pub(super) fn serialize<S: Serializer>(rate: &Rate, to: S) -> Result<S::Ok, S::Error> {
                let &Rate { success, rps } = rate;
                Named { success, rps }.serialize(to)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Rate, D::Error> {
                let Named { success, rps } = Named::deserialize(from)?;
                Ok(Rate { success, rps })
            }
        }
    };
}

rate_as!(effective, "effective_success", "effective_rps");
rate_as!(actual, "actual_success", "actual_rps");

/// Who talks to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct EdgeRow {
    pub src: String,
    pub src_namespace: String,
    pub dst: String,
    pub dst_namespace: String,
    /// Who the client proved to be; empty without TLS.
    pub client_id: String,
    /// Who the server proved to be; empty without TLS.
    pub server_id: String,
    /// Why the connection is not secured; empty if it is.
    pub no_tls_reason: String,
}

/// Writes a whole number without decimals, as other producers of this format do.
#[allow(clippy::ref_option, reason = "the signature is serde's")]
fn short<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        None => to.serialize_none(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
            to.serialize_i64(*value as i64)
        }
        Some(value) => to.serialize_f64(*value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_flat_and_read_back() {
        let row = RouteRow {
            route: "GET /".into(),
            authority: "books.booksapp.svc.cluster.local".into(),
            effective: Rate {
                success: Some(1.0),
                rps: Some(2.5),
            },
            ..RouteRow::default()
        };
        let json = serde_json::to_string(&row).unwrap();
        assert_eq!(
            json,
            r#"{"route":"GET /","authority":"books.booksapp.svc.cluster.local","effective_success":1,"effective_rps":2.5,"actual_success":null,"actual_rps":null,"latency_ms_p50":null,"latency_ms_p95":null,"latency_ms_p99":null}"#
        );
        assert_eq!(serde_json::from_str::<RouteRow>(&json).unwrap(), row);
    }
}
