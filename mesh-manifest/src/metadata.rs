use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The metadata of a resource. What only an API server knows is read and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "AnyMetadata", rename_all = "camelCase")]
pub struct Metadata {
    /// The name.
    pub name: String,
    /// The namespace; that of the command, or the running mesh, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The time at which the resource was created, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
}

/// Reads `null` as an absent member: old versions of `linkerd profile` print `spec: null`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// All that an API server writes into metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "named so that a misspelt member is still an error"
)]
struct AnyMetadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_as_default")]
    annotations: BTreeMap<String, String>,
    creation_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<serde::de::IgnoredAny>,
    deletion_timestamp: Option<serde::de::IgnoredAny>,
    finalizers: Option<serde::de::IgnoredAny>,
    generate_name: Option<serde::de::IgnoredAny>,
    generation: Option<serde::de::IgnoredAny>,
    managed_fields: Option<serde::de::IgnoredAny>,
    owner_references: Option<serde::de::IgnoredAny>,
    resource_version: Option<serde::de::IgnoredAny>,
    self_link: Option<serde::de::IgnoredAny>,
    uid: Option<serde::de::IgnoredAny>,
}

impl From<AnyMetadata> for Metadata {
    fn from(any: AnyMetadata) -> Self {
        Self {
            name: any.name,
            namespace: any.namespace,
            labels: any.labels,
            annotations: any.annotations,
            creation_timestamp: any.creation_timestamp,
        }
    }
}
