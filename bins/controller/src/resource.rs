//! What people declare: kinds, names and manifests.

use mesh_manifest::{ProfileSpec, yaml};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The kinds of resources that the controller obeys.
///
/// A new one is a variant here, a row in [`Kind::names`], a body in [`Body`] and its reader in
/// `admit.rs`; that the compiler asks for the rest is the reason for one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Routes and retry budget of a service.
    ServiceProfile,
}

/// What a kind is called.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// In manifests.
    pub kind: &'static str,
    /// In paths and commands.
    pub plural: &'static str,
    /// In commands, for one.
    pub singular: &'static str,
    /// In commands, in a hurry.
    pub short: &'static str,
    /// The API versions that are read; the last one is written for new resources.
    pub versions: &'static [&'static str],
}

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::ServiceProfile];

    /// What it is called.
    pub fn names(self) -> Names {
        match self {
            Self::ServiceProfile => Names {
                kind: "ServiceProfile",
                plural: "serviceprofiles",
                singular: "serviceprofile",
                short: "sp",
                versions: &["linkerd.io/v1alpha1", "linkerd.io/v1alpha2"],
            },
        }
    }

    /// The kind that `name` means, in any of its forms and any case.
    ///
    /// # Errors
    ///
    /// [`UnknownKind`] lists what there is.
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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().kind)
    }
}

/// A kind that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown kind {:?}", self.0)?;
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.names().kind).collect();
        if let Some(meant) = yaml::did_you_mean(&self.0, &kinds) {
            write!(f, ", did you mean {meant:?}? Known are")?;
        } else {
            f.write_str("; known are")?;
        }
        for (i, kind) in Kind::ALL.iter().enumerate() {
            let names = kind.names();
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma} {} ({})", names.kind, names.short)?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownKind {}

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// The resource `name` of a kind in a namespace.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
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
        let names = self.kind.names();
        let group = names.versions[0].split('/').next().unwrap_or_default();
        write!(f, "{}.{group}/{}", names.singular, self.name)
    }
}

/// A resource that has been read and found good.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Which.
    pub key: Key,
    /// The version it was written in.
    pub api_version: String,
    /// For people and programs to find it by.
    pub labels: BTreeMap<String, String>,
    /// For people and programs to remember something by.
    pub annotations: BTreeMap<String, String>,
    /// What it says.
    pub body: Body,
}

/// What a resource says, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Of a [`Kind::ServiceProfile`].
    ServiceProfile(Arc<ProfileSpec>),
}

impl Resource {
    /// The manifest, as YAML.
    pub fn to_yaml(&self) -> String {
        yaml::to_string(&self.manifest()).expect("a manifest has no keys but text")
    }

    /// The manifest, as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.manifest()).expect("a manifest has no keys but text")
    }

    fn manifest(&self) -> Manifest<'_> {
        Manifest {
            api_version: &self.api_version,
            kind: self.key.kind.names().kind,
            metadata: Metadata {
                annotations: &self.annotations,
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
struct Manifest<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata<'a>,
    spec: &'a Body,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    name: &'a str,
    namespace: &'a str,
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::ServiceProfile(spec) => spec.serialize(serializer),
        }
    }
}

/// What applying an object came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There was none.
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

/// A resource, or a file of one, that was refused: what was good before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The file, or what a request's text is called.
    pub source: String,
    /// The resource that the file must be of, by its place.
    #[serde(skip)]
    pub key: Option<Key>,
    /// The line, from one, if it is one line's fault.
    #[serde(default)]
    pub line: Option<u64>,
    /// The column, from one.
    #[serde(default)]
    pub column: Option<u64>,
    /// What is wrong.
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
            assert_eq!(Kind::parse(name), Ok(Kind::ServiceProfile), "{name}");
        }
        assert_eq!(
            Kind::parse("ServiceProfil").unwrap_err().to_string(),
            "unknown kind \"ServiceProfil\", did you mean \"ServiceProfile\"? Known are \
             ServiceProfile (sp)"
        );
        assert_eq!(
            Kind::parse("Ingress").unwrap_err().to_string(),
            "unknown kind \"Ingress\"; known are ServiceProfile (sp)"
        );
    }

    #[test]
    fn a_manifest_is_written_in_the_order_people_know() {
        let resource = Resource {
            key: Key::new(Kind::ServiceProfile, "shop", "web.shop.svc.cluster.local"),
            api_version: "linkerd.io/v1alpha2".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([("why".into(), "a test".into())]),
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
