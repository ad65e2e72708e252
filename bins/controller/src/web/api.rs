//! The JSON API's types for what the mesh is doing; the CLI reads the same.

use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A kind of resource that traffic can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of Kubernetes' kinds")]
pub enum Kind {
    Authority,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Namespace,
    Pod,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
}

/// Each kind with its full and its short name, sorted by the former.
const KINDS: [(Kind, &str, &str); 11] = [
    (Kind::Authority, "authority", "au"),
    (Kind::CronJob, "cronjob", "cj"),
    (Kind::DaemonSet, "daemonset", "ds"),
    (Kind::Deployment, "deployment", "deploy"),
    (Kind::Job, "job", "job"),
    (Kind::Namespace, "namespace", "ns"),
    (Kind::Pod, "pod", "po"),
    (Kind::ReplicaSet, "replicaset", "rs"),
    (Kind::ReplicationController, "replicationcontroller", "rc"),
    (Kind::Service, "service", "svc"),
    (Kind::StatefulSet, "statefulset", "sts"),
];

impl Kind {
    fn row(self) -> (Self, &'static str, &'static str) {
        KINDS[self as usize]
    }

    /// The full name: `deployment`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The short name: `deploy`.
    pub fn short(self) -> &'static str {
        self.row().2
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Reads full and short names, in the singular or the plural.
    fn from_str(text: &str) -> Result<Self, String> {
        let singular = match text {
            "authorities" => "authority",
            text => text,
        };
        let is = |name: &str| singular == name || singular.strip_suffix('s') == Some(name);
        KINDS
            .into_iter()
            .find(|(_, name, short)| {
                singular == *short || is(name) || singular == "deploys" && *short == "deploy"
            })
            .map(|(kind, ..)| kind)
            .ok_or_else(|| {
                format!("cannot find Kubernetes canonical name from friendly name [{text}]")
            })
    }
}

/// A kind, or one resource of it: `deploy`, `deploy/webapp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The kind.
    pub kind: Kind,
    /// The one meant, if not all.
    pub name: Option<String>,
}

impl Resource {
    /// All resources of a kind.
    pub fn all(kind: Kind) -> Self {
        Self { kind, name: None }
    }

    /// One resource.
    pub fn named(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: Some(name.into()),
        }
    }

    /// Whether `name` is meant.
    pub fn includes(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|own| own == name)
    }
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None => Ok(Self::all(text.parse()?)),
            Some((kind, name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self::named(kind.parse()?, name))
            }
            Some(_) => Err(format!("Invalid resource string: {text}")),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.short())?;
        match &self.name {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Between 0 and 1.
    pub success: Option<f64>,
    /// A second.
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
    fn kinds_are_read_in_every_spelling() {
        for (index, (kind, name, short)) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(short.parse(), Ok(kind));
        }
        assert_eq!("deployments".parse(), Ok(Kind::Deployment));
        assert_eq!("pods".parse(), Ok(Kind::Pod));
        assert_eq!("authorities".parse(), Ok(Kind::Authority));
        assert_eq!(
            "web".parse::<Kind>().unwrap_err(),
            "cannot find Kubernetes canonical name from friendly name [web]"
        );
    }

    #[test]
    fn a_resource_is_a_kind_with_or_without_a_name() {
        let webapp: Resource = "deployment/webapp".parse().unwrap();
        assert_eq!(webapp.to_string(), "deploy/webapp");
        assert!(webapp.includes("webapp") && !webapp.includes("books"));
        assert!("po".parse::<Resource>().unwrap().includes("any"));
        for text in ["deploy/", "deploy/a/b"] {
            assert_eq!(
                text.parse::<Resource>().unwrap_err(),
                format!("Invalid resource string: {text}")
            );
        }
    }

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
