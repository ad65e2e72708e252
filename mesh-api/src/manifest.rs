//! Resources that people declare in manifests.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of resource that people declare in manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestKind {
    /// A canary release of a workload.
    Canary,
    /// Routes and retry budget of a service.
    ServiceProfile,
    /// Services that share the requests of another.
    TrafficSplit,
}

/// Names of a [`ManifestKind`].
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// In manifests: `ServiceProfile`.
    pub kind: &'static str,
    /// In paths and commands: `serviceprofiles`.
    pub plural: &'static str,
    /// In commands, for one resource: `serviceprofile`.
    pub singular: &'static str,
    /// In commands, in short: `sp`.
    pub short: &'static str,
    /// API versions that are read; the last one is written for new resources.
    pub versions: &'static [&'static str],
}

impl Names {
    /// API group of the kind: `linkerd.io`.
    pub fn group(&self) -> &'static str {
        self.versions[0].split('/').next().unwrap_or_default()
    }
}

impl ManifestKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Canary, Self::ServiceProfile, Self::TrafficSplit];

    /// Path of the resources of all kinds.
    pub const PATH: &'static str = "/api/v1/resources";

    /// Names of the kind.
    pub fn names(self) -> Names {
        match self {
            Self::Canary => Names {
                kind: "Canary",
                plural: "canaries",
                singular: "canary",
                short: "cd",
                versions: &["flagger.app/v1alpha3", "flagger.app/v1beta1"],
            },
            Self::ServiceProfile => Names {
                kind: "ServiceProfile",
                plural: "serviceprofiles",
                singular: "serviceprofile",
                short: "sp",
                versions: &["linkerd.io/v1alpha1", "linkerd.io/v1alpha2"],
            },
            Self::TrafficSplit => Names {
                kind: "TrafficSplit",
                plural: "trafficsplits",
                singular: "trafficsplit",
                short: "ts",
                versions: &[
                    "split.smi-spec.io/v1alpha1",
                    "split.smi-spec.io/v1alpha3",
                    "split.smi-spec.io/v1alpha4",
                    "split.smi-spec.io/v1alpha2",
                ],
            },
        }
    }

    /// A resource of this kind as commands print it: `serviceprofile.linkerd.io/web.shop`.
    pub fn qualify(self, name: &str) -> String {
        let names = self.names();
        format!("{}.{}/{name}", names.singular, names.group())
    }

    /// The kind that has `name`, in any of its forms and any case.
    ///
    /// # Errors
    ///
    /// [`UnknownKind`] lists the kinds that there are.
    pub fn parse(name: &str) -> Result<Self, UnknownKind> {
        // `serviceprofiles.linkerd.io` is how Kubernetes qualifies it.
        let plain = name.split_once('.').map_or(name, |(plain, _)| plain);
        let is = |kind: &Self| {
            let names = kind.names();
            [names.kind, names.plural, names.singular, names.short]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(plain))
        };
        let kind = Self::ALL.iter().copied().find(is);
        kind.ok_or_else(|| UnknownKind(name.into()))
    }
}

impl fmt::Display for ManifestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().kind)
    }
}

/// Error of a name that is no [`ManifestKind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown kind {:?}; known are", self.0)?;
        for (i, kind) in ManifestKind::ALL.iter().enumerate() {
            let names = kind.names();
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma} {} ({})", names.kind, names.short)?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownKind {}

/// Answer to `GET /api/v1/resources/{kind}[/{namespace}[/{name}]]`.
///
/// `M` is a manifest: an object with `apiVersion`, `kind`, `metadata` and `spec`, and with
/// `status.conditions` if resources of the kind have conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ManifestList")
)]
pub struct ManifestList<M> {
    /// The manifests in force.
    pub items: Vec<M>,
    /// Files that were refused, of these resources or of no known one. An item whose file is
    /// among them is the last good one.
    pub rejected: Vec<Rejection>,
}

/// Query of `PUT /api/v1/resources`, whose body is a text of manifests in YAML or JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ApplyRequest {
    /// Namespace of resources that name none; without it, the mesh's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the text in errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Answer to [`ApplyRequest`], for each object in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Applied {
    /// The object as commands print it: `serviceprofile.linkerd.io/web.shop.svc.cluster.local`.
    pub resource: String,
    /// Its kind, as in manifests.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Effect on it.
    pub result: Outcome,
    /// Findings that are allowed but hardly intended.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Effect of applying an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is new.
    Created,
    /// It was different.
    Configured,
    /// It was the same already.
    Unchanged,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// A file or text that was refused; what was good before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Rejection {
    /// The file, or the name of a request's text.
    pub source: String,
    /// The line, from 1, if one line is at fault.
    #[serde(default)]
    pub line: Option<u64>,
    /// The column, from 1.
    #[serde(default)]
    pub column: Option<u64>,
    /// The fault.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_all_its_names() {
        for name in [
            "ServiceProfile",
            "serviceprofiles",
            "sp",
            "SP",
            "serviceprofiles.linkerd.io",
        ] {
            let kind = ManifestKind::parse(name);
            assert_eq!(kind, Ok(ManifestKind::ServiceProfile), "{name}");
        }
        assert_eq!(
            ManifestKind::parse("Ingress").unwrap_err().to_string(),
            "unknown kind \"Ingress\"; known are Canary (cd), ServiceProfile (sp), TrafficSplit (ts)"
        );
    }
}
