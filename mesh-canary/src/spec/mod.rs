//! The Canary resource as people write it: `flagger.app`, v1alpha3 and v1beta1.
//!
//! Absent fields are absent here, too; defaults are applied where a resource becomes a
//! [`Plan`](crate::Plan). Fields of other meshes are read over, and so is `autoscalerRef`, for
//! nothing scales by itself here. With the feature `serde`, all of these can be read and written.

mod analysis;
mod convert;
mod duration;

pub use self::{
    analysis::{
        AlertSpec, Analysis, MetricSpec, SessionAffinity, StringMatch, TemplateRef, ThresholdRange,
        TrafficMatch, WebhookSpec,
    },
    convert::InvalidCanary,
    duration::{format_duration, parse_duration},
};

use std::collections::BTreeMap;

/// The API versions that are read; they mean the same.
pub const API_VERSIONS: [&str; 2] = ["flagger.app/v1alpha3", "flagger.app/v1beta1"];

/// A resource of the kind Canary.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase")
)]
pub struct Canary {
    /// One of [`API_VERSIONS`].
    pub api_version: String,
    /// `Canary`.
    pub kind: String,
    /// The names.
    pub metadata: Metadata,
    /// The settings.
    pub spec: CanarySpec,
}

/// The names of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct Metadata {
    /// The name.
    pub name: String,
    /// The namespace; absent is `default`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub namespace: Option<String>,
    /// The labels.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub annotations: BTreeMap<String, String>,
}

/// The settings of a Canary.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct CanarySpec {
    /// The workload under analysis.
    pub target_ref: Option<ObjectRef>,
    /// An autoscaler; noted, and ignored.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub autoscaler_ref: Option<ObjectRef>,
    /// The mesh provider; noted.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub provider: Option<String>,
    /// The address of a Prometheus.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub metrics_server: Option<String>,
    /// The time to become ready, in seconds; default 600.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub progress_deadline_seconds: Option<u32>,
    /// Promotes without an analysis.
    pub skip_analysis: bool,
    /// Does nothing.
    pub suspend: bool,
    /// Gives traffic back to the target on deletion.
    pub revert_on_deletion: bool,
    /// The service that callers name.
    pub service: ServiceSpec,
    /// The analysis; `canaryAnalysis` is the same by its name in v1alpha3.
    #[cfg_attr(feature = "serde", serde(alias = "canaryAnalysis"))]
    pub analysis: Option<Analysis>,
}

/// A reference to another object.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct ObjectRef {
    /// The API version.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub api_version: Option<String>,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// The service that callers name.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct ServiceSpec {
    /// The name; absent is that of the target.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub name: Option<String>,
    /// The port.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub port: Option<u16>,
    /// The name of the port; absent is `http`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub port_name: Option<String>,
    /// Adds the other ports of the target's containers.
    pub port_discovery: bool,
}
