//! Declared resources: kinds, names and manifests.

use mesh_api::ManifestKind;
use mesh_canary::spec::CanarySpec;
use mesh_control::model::{
    self, Canary, Kind, Reference, Resource, ResourceKind, ServiceProfile, Status, TrafficSplit,
};
pub use mesh_control::source::Outcome;
use mesh_manifest::{ProfileSpec, SplitBackend, TrafficSplitSpec, yaml};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: ManifestKind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// The resource `name` of a kind in a namespace.
    pub fn new(kind: ManifestKind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    /// As commands print it: `serviceprofile.linkerd.io/web.shop.svc.cluster.local`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.qualify(&self.name))
    }
}

/// A resource that has been read and found good.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which.
    pub key: Key,
    /// The version it was written in.
    pub api_version: String,
    /// For people and programs to find it by.
    pub labels: BTreeMap<String, String>,
    /// For people and programs to remember something by.
    pub annotations: BTreeMap<String, String>,
    /// The time of its creation in RFC 3339, if that is known.
    pub created: Option<String>,
    /// Its content.
    pub body: Body,
}

/// The content of a resource, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Of a [`ManifestKind::Canary`].
    Canary(Arc<CanarySpec>),
    /// Of a [`ManifestKind::ServiceProfile`].
    ServiceProfile(Arc<ProfileSpec>),
    /// Of a [`ManifestKind::TrafficSplit`].
    TrafficSplit(Arc<TrafficSplitSpec>),
}

impl Manifest {
    /// The manifest, as YAML.
    pub fn to_yaml(&self) -> String {
        yaml::to_string(&self.document()).expect("a manifest has no keys but text")
    }

    /// The manifest, as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.document()).expect("a manifest has no keys but text")
    }

    /// The manifest with its conditions, as JSON.
    pub fn to_json_with(&self, status: &Status) -> serde_json::Value {
        let mut json = self.to_json();
        if !status.conditions.is_empty() {
            let conditions = status.conditions.iter().map(|condition| {
                serde_json::json!({
                    "type": condition.kind.as_str(),
                    "status": if condition.is_met { "True" } else { "False" },
                    "reason": condition.reason,
                    "message": condition.message,
                })
            });
            let conditions: Vec<_> = conditions.collect();
            json["status"] = serde_json::json!({ "conditions": conditions });
        }
        json
    }

    fn document(&self) -> Document<'_> {
        Document {
            api_version: &self.api_version,
            kind: self.key.kind.names().kind,
            metadata: Metadata {
                annotations: &self.annotations,
                creation_timestamp: self.created.as_deref(),
                labels: &self.labels,
                name: &self.key.name,
                namespace: &self.key.namespace,
            },
            spec: &self.body,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata<'a>,
    spec: &'a Body,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_timestamp: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    name: &'a str,
    namespace: &'a str,
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Canary(spec) => spec.serialize(serializer),
            Self::ServiceProfile(spec) => spec.serialize(serializer),
            Self::TrafficSplit(spec) => spec.serialize(serializer),
        }
    }
}

/// A resource, or a file of one, that was refused: what was good before stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The file, or what a request's text is called.
    pub source: String,
    /// The resource that the file must be of, by its place.
    pub key: Option<Key>,
    /// The line, from one, if it is one line's fault.
    pub line: Option<u64>,
    /// The column, from one.
    pub column: Option<u64>,
    /// The reason.
    pub reason: String,
}

impl fmt::Display for Rejection {
    /// `FILE:LINE:COLUMN: reason`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Rejection {}

impl From<yaml::Error> for Rejection {
    fn from(error: yaml::Error) -> Self {
        let place = error.place();
        Self {
            source: error.source_name().into(),
            key: None,
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            reason: error.message().into(),
        }
    }
}

impl Rejection {
    /// The whole of `source` is at fault.
    pub fn of(source: &str, reason: impl fmt::Display) -> Self {
        Self {
            source: source.into(),
            key: None,
            line: None,
            column: None,
            reason: reason.to_string(),
        }
    }
}

impl From<Rejection> for model::Rejection {
    fn from(rejection: Rejection) -> Self {
        Self {
            source: rejection.source,
            resource: rejection.key.as_ref().map(Reference::from),
            line: rejection.line,
            column: rejection.column,
            reason: rejection.reason,
        }
    }
}

impl From<&Key> for Reference {
    fn from(key: &Key) -> Self {
        let kind = match key.kind {
            ManifestKind::Canary => ResourceKind::Canary,
            ManifestKind::ServiceProfile => ResourceKind::ServiceProfile,
            ManifestKind::TrafficSplit => ResourceKind::TrafficSplit,
        };
        Self::new(
            Kind::Resource(kind),
            key.namespace.clone(),
            key.name.clone(),
        )
    }
}

impl TryFrom<&Reference> for Key {
    type Error = anyhow::Error;

    /// # Errors
    ///
    /// If people cannot declare such an object in a manifest.
    fn try_from(reference: &Reference) -> anyhow::Result<Self> {
        let kind = match reference.kind {
            Kind::Resource(ResourceKind::Canary) => ManifestKind::Canary,
            Kind::Resource(ResourceKind::ServiceProfile) => ManifestKind::ServiceProfile,
            Kind::Resource(ResourceKind::TrafficSplit) => ManifestKind::TrafficSplit,
            _ => anyhow::bail!("there are no manifests of a {reference}"),
        };
        Ok(Self {
            kind,
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
        })
    }
}

impl From<Manifest> for Resource {
    fn from(manifest: Manifest) -> Self {
        let Key {
            namespace, name, ..
        } = manifest.key;
        let metadata = model::Metadata {
            api_version: manifest.api_version,
            labels: manifest.labels,
            annotations: manifest.annotations,
            created: manifest.created,
        };
        match manifest.body {
            Body::Canary(spec) => Self::from(Canary {
                namespace,
                name,
                metadata,
                spec,
            }),
            Body::ServiceProfile(spec) => Self::from(ServiceProfile {
                namespace,
                name,
                metadata,
                spec,
            }),
            Body::TrafficSplit(spec) => {
                let leaves = spec.backends.iter().map(|backend| model::Leaf {
                    service: backend.service.as_str().into(),
                    weight: backend.weight,
                });
                Self::from(TrafficSplit {
                    namespace,
                    name,
                    metadata,
                    service: spec.service.as_str().into(),
                    leaves: leaves.collect(),
                })
            }
        }
    }
}

impl From<&Resource> for Manifest {
    fn from(resource: &Resource) -> Self {
        let metadata = resource.metadata().clone();
        let (kind, namespace, name, body) = match resource {
            Resource::Canary(canary) => (
                ManifestKind::Canary,
                &canary.namespace,
                &canary.name,
                Body::Canary(canary.spec.clone()),
            ),
            Resource::ServiceProfile(profile) => (
                ManifestKind::ServiceProfile,
                &profile.namespace,
                &profile.name,
                Body::ServiceProfile(profile.spec.clone()),
            ),
            Resource::TrafficSplit(split) => {
                let backends = split.leaves.iter().map(|leaf| SplitBackend {
                    service: leaf.service.to_string(),
                    weight: leaf.weight,
                });
                let spec = TrafficSplitSpec {
                    service: split.service.to_string(),
                    backends: backends.collect(),
                    matches: Vec::new(),
                };
                (
                    ManifestKind::TrafficSplit,
                    &split.namespace,
                    &split.name,
                    Body::TrafficSplit(Arc::new(spec)),
                )
            }
        };
        Self {
            key: Key {
                kind,
                namespace: namespace.clone(),
                name: name.clone(),
            },
            api_version: metadata.api_version,
            labels: metadata.labels,
            annotations: metadata.annotations,
            created: metadata.created,
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_written_in_the_order_people_know() {
        let resource = Manifest {
            key: Key::new(
                ManifestKind::ServiceProfile,
                "shop",
                "web.shop.svc.cluster.local",
            ),
            api_version: "linkerd.io/v1alpha2".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([("why".into(), "a test".into())]),
            created: None,
            body: Body::ServiceProfile(Arc::default()),
        };
        assert_eq!(
            resource.to_yaml(),
            "apiVersion: linkerd.io/v1alpha2\n\
             kind: ServiceProfile\n\
             metadata:\n  annotations:\n    why: a test\n  name: web.shop.svc.cluster.local\n  \
             namespace: shop\nspec: {}\n"
        );
    }
}
