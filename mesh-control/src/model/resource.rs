use super::{Kind, Reference, Rejection};
use mesh_profile::ProfileSpec;
use std::{collections::BTreeMap, sync::Arc};

/// Rules that people declare.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// Routes and retry budget of a service.
    ServiceProfile(Arc<ServiceProfile>),
}

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// [`Resource::ServiceProfile`].
    ServiceProfile,
}

/// Routes and retry budget of a service, declared in the client's namespace or in the service's.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceProfile {
    /// The namespace it is declared in.
    pub namespace: Arc<str>,
    /// The full name of the service, without a port.
    pub name: Arc<str>,
    /// The version it was written in, and notes.
    pub metadata: Metadata,
    /// The routes and the budget.
    pub spec: Arc<ProfileSpec>,
}

/// Metadata that a resource keeps and that decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The API version it was written in, as in `linkerd.io/v1alpha2`.
    pub api_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The condition of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is in force.
    Accepted,
    /// It was refused; the last accepted version stays in force.
    Rejected(Rejection),
}

impl Resource {
    /// The reference that names it.
    pub fn reference(&self) -> Reference {
        match self {
            Self::ServiceProfile(profile) => Reference {
                kind: Kind::Resource(ResourceKind::ServiceProfile),
                namespace: profile.namespace.clone(),
                name: profile.name.clone(),
            },
        }
    }

    /// Its metadata.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::ServiceProfile(profile) => &profile.metadata,
        }
    }
}

impl ResourceKind {
    /// The kind in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceProfile => "serviceprofile",
        }
    }

    /// The kind's name and its API group.
    pub fn name_and_group(self) -> (&'static str, &'static str) {
        match self {
            Self::ServiceProfile => ("ServiceProfile", "linkerd.io"),
        }
    }
}

impl From<ServiceProfile> for Resource {
    fn from(profile: ServiceProfile) -> Self {
        Self::ServiceProfile(Arc::new(profile))
    }
}
