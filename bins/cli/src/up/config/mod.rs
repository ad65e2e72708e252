//! The validated form of `mesh.yaml`. Code that gets a [`Config`] need not check it again.

mod across;
mod check;
mod ports;

pub(crate) use self::ports::{ServicePort, variable};

use super::document::{Document, Form};
use anyhow::{Context, Result};
use check::{Checker, MAX_REPLICAS};
use mesh_manifest::yaml;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// File name that is looked for in a folder.
const FILE_NAME: &str = "mesh.yaml";

/// The validated configuration of `mesh up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file it was read from, absolute.
    pub(crate) file: PathBuf,
    /// The namespace of every workload.
    pub(crate) namespace: String,
    /// Shell command that runs in the file's folder before any workload starts.
    pub(crate) build: Option<String>,
    /// Workloads by name.
    pub(crate) workloads: BTreeMap<String, Workload>,
    /// Files and folders of resources, absolute.
    pub(crate) manifests: Vec<PathBuf>,
    /// True if each replica has a network namespace (`--transparent`).
    pub(crate) transparent: bool,
}

/// One workload of `mesh.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Working directory, absolute.
    pub(crate) dir: PathBuf,
    /// Environment variables that the file adds.
    pub(crate) env: BTreeMap<String, String>,
    /// True if its standard input stays open, false if it is empty.
    pub(crate) stdin: bool,
    /// Name of its service; used only with a `port`.
    pub(crate) service: String,
    /// The service port.
    pub(crate) port: Option<u16>,
    /// Name of the service port, if it has one.
    pub(crate) port_name: Option<String>,
    /// Port that the program listens on, if it cannot be told one by `$PORT`.
    pub(crate) listen: Option<u16>,
    /// Port on the host for use from outside of the mesh.
    pub(crate) host_port: HostPort,
    /// True if its connections are carried as bytes.
    pub(crate) opaque: bool,
    /// Further ports of its service.
    pub(crate) ports: Vec<ServicePort>,
    pub(crate) replicas: u32,
    /// The path of its readiness check.
    pub(crate) ready: Option<String>,
    pub(crate) depends_on: Vec<String>,
    /// Upstreams by the environment variable that holds their address.
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    /// Place of its command for messages: FILE:LINE.
    pub(crate) place: String,
}

/// Environment variable that names the revision of a program; it becomes a label of its endpoints.
pub(crate) const REVISION: &str = "MESH_REVISION";

impl Workload {
    /// Returns the revision of its replicas, if it is named.
    pub(crate) fn revision(&self) -> Option<String> {
        self.env.get(REVISION).cloned()
    }

    /// Returns the fixed ports that its program listens on.
    pub(crate) fn listens(&self) -> impl Iterator<Item = u16> {
        let further = self.ports.iter().filter_map(|port| port.listen);
        self.listen.into_iter().chain(further)
    }

    /// Returns the workload with this many replicas.
    ///
    /// # Errors
    ///
    /// Fails if there are too many, or if all would listen on one port.
    pub(crate) fn scaled(mut self, name: &str, replicas: u32) -> Result<Self> {
        if replicas > MAX_REPLICAS {
            anyhow::bail!("workload `{name}`: at most {MAX_REPLICAS} replicas");
        }
        if let (Some(port), 2..) = (self.listens().next(), replicas) {
            anyhow::bail!("workload `{name}`: {replicas} replicas cannot all listen on {port}");
        }
        self.replicas = replicas;
        Ok(self)
    }
}

/// The listen address that a workload requests on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostPort {
    /// This port if it is free, otherwise none.
    IfFree(u16),
    /// This port, or an error if it is taken.
    Exactly(u16),
    None,
}

/// A service reached through a port of the sidecar's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Authority of the service.
    pub(crate) to: String,
    pub(crate) form: Form,
}

impl Config {
    /// Reads `path`, a folder with a `mesh.yaml` or such a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = if path.is_dir() {
            path.join(FILE_NAME)
        } else {
            path.to_owned()
        };
        let text = fs::read_to_string(&file).with_context(|| match path.is_dir() {
            true => format!("there is no {FILE_NAME} in {}", path.display()),
            false => format!("cannot read {}", path.display()),
        })?;
        let absolute = std::path::absolute(&file)?;
        Self::parse(&text, &file.to_string_lossy(), &absolute)
    }

    /// Checks `text`; messages call it `source`, and relative paths start from the folder of `file`.
    pub(crate) fn parse(text: &str, source: &str, file: &Path) -> Result<Self> {
        let document: Document = yaml::from_str(text, source)?;
        // Places count from the document's marker, if it has one.
        let first = yaml::sections(text).find(|section| !section.is_empty());
        Checker {
            source,
            file,
            before: first.map_or(0, |section| section.line() - 1),
        }
        .check(document)
    }

    /// Replaces the namespace if one is given.
    #[must_use]
    pub(crate) fn in_namespace(mut self, namespace: Option<&str>) -> Self {
        if let Some(namespace) = namespace {
            self.namespace = namespace.to_owned();
        }
        self
    }

    /// Returns the folder that relative paths start from.
    pub(crate) fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

/// Returns true if `text` is `host` or `host:port`.
pub(crate) fn is_authority(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|authority| {
        !authority.host().is_empty()
            && !text.contains('@')
            && (!text.contains(':') || authority.port_u16().is_some_and(|port| port > 0))
    })
}

#[cfg(test)]
mod tests;
