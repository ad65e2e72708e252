use super::{Kind, Reference, ServiceName};
use mesh_canary::spec::CanarySpec;
use mesh_profile::{ProfileSpec, Weight};
use std::{collections::BTreeMap, sync::Arc};

/// Rules that people declare.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// A canary release of a workload.
    Canary(Arc<Canary>),
    /// Routes and retry budget of a service.
    ServiceProfile(Arc<ServiceProfile>),
    /// Services that share the requests of another.
    TrafficSplit(Arc<TrafficSplit>),
}

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// [`Resource::Canary`].
    Canary,
    /// [`Resource::ServiceProfile`].
    ServiceProfile,
    /// [`Resource::TrafficSplit`].
    TrafficSplit,
}

/// A canary release of a workload, whose plan [`mesh_canary`] makes of the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// The namespace of the workload.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The version it was written in, and notes.
    pub metadata: Metadata,
    /// The settings.
    pub spec: Arc<CanarySpec>,
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

/// Shares the requests of a service, the apex, out among services of its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSplit {
    /// The namespace of the split and of its services.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The version it was written in, and notes.
    pub metadata: Metadata,
    /// The apex.
    pub service: Arc<str>,
    /// The services that get a share; at least one has a weight above zero.
    pub leaves: Arc<[Leaf]>,
}

/// A service that takes a share of the requests of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The service.
    pub service: Arc<str>,
    /// Its share, relative to the sum of all weights.
    pub weight: Weight,
}

/// Metadata that a resource keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The API version it was written in, as in `linkerd.io/v1alpha2`.
    pub api_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The time of its creation in RFC 3339, by which conflicts are decided. A resource without
    /// one counts as older than all that have one.
    pub created: Option<String>,
}

/// The conditions of a resource, for its author.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// One of each kind; none if the kind of resource has no conditions.
    pub conditions: Vec<Condition>,
}

/// One condition of a resource, as Gateway API names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The kind.
    pub kind: ConditionKind,
    /// The condition is met.
    pub is_met: bool,
    /// The reason, as one word.
    pub reason: &'static str,
    /// The reason, as a sentence.
    pub message: String,
}

/// The kind of a [`Condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionKind {
    /// The resource is in force.
    Accepted,
    /// All that the resource refers to exists.
    ResolvedRefs,
}

impl ConditionKind {
    /// The kind, as resources write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
        }
    }
}

impl Status {
    /// The conditions that are not met.
    pub fn unmet(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|condition| !condition.is_met)
    }
}

impl TrafficSplit {
    /// The service whose requests are split.
    pub fn apex(&self) -> ServiceName {
        self.service_name(&self.service)
    }

    /// The name of one of its services.
    pub fn service_name(&self, service: &Arc<str>) -> ServiceName {
        ServiceName {
            service: service.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl Resource {
    /// The reference that names it.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Canary(canary) => Reference {
                kind: Kind::Resource(ResourceKind::Canary),
                namespace: canary.namespace.clone(),
                name: canary.name.clone(),
            },
            Self::ServiceProfile(profile) => Reference {
                kind: Kind::Resource(ResourceKind::ServiceProfile),
                namespace: profile.namespace.clone(),
                name: profile.name.clone(),
            },
            Self::TrafficSplit(split) => Reference {
                kind: Kind::Resource(ResourceKind::TrafficSplit),
                namespace: split.namespace.clone(),
                name: split.name.clone(),
            },
        }
    }

    /// Its metadata.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Canary(canary) => &canary.metadata,
            Self::ServiceProfile(profile) => &profile.metadata,
            Self::TrafficSplit(split) => &split.metadata,
        }
    }
}

impl ResourceKind {
    /// The kind in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::ServiceProfile => "serviceprofile",
            Self::TrafficSplit => "trafficsplit",
        }
    }

    /// The kind's name and its API group.
    pub fn name_and_group(self) -> (&'static str, &'static str) {
        match self {
            Self::Canary => ("Canary", "flagger.app"),
            Self::ServiceProfile => ("ServiceProfile", "linkerd.io"),
            Self::TrafficSplit => ("TrafficSplit", "split.smi-spec.io"),
        }
    }
}

impl Canary {
    /// Returns the resource as people write it.
    pub fn resource(&self) -> mesh_canary::spec::Canary {
        mesh_canary::spec::Canary {
            api_version: self.metadata.api_version.clone(),
            kind: ResourceKind::Canary.name_and_group().0.to_owned(),
            metadata: mesh_canary::spec::Metadata {
                name: self.name.to_string(),
                namespace: Some(self.namespace.to_string()),
                labels: self.metadata.labels.clone(),
                annotations: self.metadata.annotations.clone(),
            },
            spec: (*self.spec).clone(),
        }
    }
}

impl From<Canary> for Resource {
    fn from(canary: Canary) -> Self {
        Self::Canary(Arc::new(canary))
    }
}

impl From<ServiceProfile> for Resource {
    fn from(profile: ServiceProfile) -> Self {
        Self::ServiceProfile(Arc::new(profile))
    }
}

impl From<TrafficSplit> for Resource {
    fn from(split: TrafficSplit) -> Self {
        Self::TrafficSplit(Arc::new(split))
    }
}
