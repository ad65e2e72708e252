use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A kind of resource that sends or receives traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The host and port that requests name, known to the mesh or not.
    Authority,
    /// A workload: replicas of one program.
    Deployment,
    /// A namespace with everything in it.
    Namespace,
    /// A replica of a workload.
    Pod,
    /// A name under which workloads are called.
    Service,
    /// Services that share the requests of another.
    TrafficSplit,
}

/// Each kind with its full and its short name, sorted by the former.
const KINDS: [(Kind, &str, &str); 6] = [
    (Kind::Authority, "authority", "au"),
    (Kind::Deployment, "deployment", "deploy"),
    (Kind::Namespace, "namespace", "ns"),
    (Kind::Pod, "pod", "po"),
    (Kind::Service, "service", "svc"),
    (Kind::TrafficSplit, "trafficsplit", "ts"),
];

impl Kind {
    fn row(self) -> (Self, &'static str, &'static str) {
        KINDS[self as usize]
    }

    /// Full name: `deployment`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Short name: `deploy`.
    pub fn short(self) -> &'static str {
        self.row().2
    }
}

impl FromStr for Kind {
    type Err = ParseResourceError;

    /// Reads full and short names, in the singular or the plural.
    fn from_str(text: &str) -> Result<Self, ParseResourceError> {
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
            .ok_or_else(|| ParseResourceError::UnknownKind(text.to_owned()))
    }
}

/// Error of a text that names no resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseResourceError {
    /// There is no such kind.
    UnknownKind(String),
    /// The text is neither `KIND` nor `KIND/NAME`.
    Form(String),
}

impl fmt::Display for ParseResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(text) => write!(
                f,
                "cannot find Kubernetes canonical name from friendly name [{text}]"
            ),
            Self::Form(text) => write!(f, "Invalid resource string: {text}"),
        }
    }
}

impl std::error::Error for ParseResourceError {}

/// All resources of a kind, or one of them: `deploy`, `deploy/webapp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Resource {
    /// The kind.
    pub kind: Kind,
    /// The name of one resource; without it, all of the kind.
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

    /// Returns true if this is all resources of the kind, or the one called `name`.
    pub fn includes(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|own| own == name)
    }
}

impl FromStr for Resource {
    type Err = ParseResourceError;

    fn from_str(text: &str) -> Result<Self, ParseResourceError> {
        match text.split_once('/') {
            None => Ok(Self::all(text.parse()?)),
            Some((kind, name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self::named(kind.parse()?, name))
            }
            Some(_) => Err(ParseResourceError::Form(text.to_owned())),
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

impl TryFrom<String> for Resource {
    type Error = ParseResourceError;

    fn try_from(text: String) -> Result<Self, ParseResourceError> {
        text.parse()
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.to_string()
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
            "web".parse::<Kind>().unwrap_err().to_string(),
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
                text.parse::<Resource>().unwrap_err().to_string(),
                format!("Invalid resource string: {text}")
            );
        }
    }
}
