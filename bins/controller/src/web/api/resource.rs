//! Which resource a question is about.

use serde::{Deserialize, Serialize};
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
}
