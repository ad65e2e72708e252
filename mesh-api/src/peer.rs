use crate::{Kind, Resource};
use std::fmt;

/// Namespaces that a request looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// The mesh's own namespace.
    #[default]
    Mesh,
    /// This namespace.
    Named(String),
    /// Every namespace.
    All,
}

impl Namespaces {
    /// The named namespace, or the mesh's own if there is no name.
    pub fn of(name: Option<String>) -> Self {
        name.map_or(Self::Mesh, Self::Named)
    }
}

/// [`Namespaces`] as two parameters.
pub(crate) struct NamespacesFields {
    pub(crate) namespace: Option<String>,
    pub(crate) all_namespaces: bool,
}

impl From<NamespacesFields> for Namespaces {
    fn from(fields: NamespacesFields) -> Self {
        match fields.all_namespaces {
            true => Self::All,
            false => Self::of(fields.namespace),
        }
    }
}

impl From<Namespaces> for NamespacesFields {
    fn from(namespaces: Namespaces) -> Self {
        Self {
            all_namespaces: namespaces == Namespaces::All,
            namespace: match namespaces {
                Namespaces::Named(name) => Some(name),
                Namespaces::Mesh | Namespaces::All => None,
            },
        }
    }
}

/// The other side of the requests that are counted or watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    resource: Resource,
    namespace: Option<String>,
}

impl Peer {
    /// The resource in `namespace`, or without one in the namespace of the request.
    ///
    /// # Errors
    ///
    /// [`InvalidPeer`] if the resource is a namespace, which is in none, and `namespace` is given.
    pub fn new(resource: Resource, namespace: Option<String>) -> Result<Self, InvalidPeer> {
        match namespace.is_some() && resource.kind == Kind::Namespace {
            true => Err(InvalidPeer),
            false => Ok(Self {
                resource,
                namespace,
            }),
        }
    }

    /// The resource.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Its namespace, if it is not the namespace of the request.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Reads a peer from two parameters.
    pub(crate) fn from_fields(
        resource: Option<&str>,
        namespace: Option<String>,
    ) -> Result<Option<Self>, String> {
        let Some(resource) = resource else {
            return Ok(None);
        };
        let resource = resource.parse().map_err(|error| format!("{error}"));
        let peer = Self::new(resource?, namespace).map_err(|error| error.to_string());
        peer.map(Some)
    }

    /// Writes a peer as two parameters.
    pub(crate) fn into_fields(peer: Option<Self>) -> (Option<String>, Option<String>) {
        match peer {
            Some(peer) => (Some(peer.resource.to_string()), peer.namespace),
            None => (None, None),
        }
    }
}

/// Error of a namespace that has a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPeer;

impl fmt::Display for InvalidPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a namespace is in no other namespace: leave one of the two out")
    }
}

impl std::error::Error for InvalidPeer {}

/// Direction of the requests that are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// Requests that are sent to this resource.
    To(Peer),
    /// Requests that this resource sends.
    From(Peer),
}
