use super::{
    Pod, Resource, ResourceKind, Service, ServiceProfile, TrafficSplit, Workload, WorkloadKind,
};
use std::{fmt, sync::Arc};

/// One thing that a source tells the index about.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// The settings of the whole mesh.
    Mesh(Arc<Mesh>),
    /// A program and its replicas.
    Workload(Arc<Workload>),
    /// One replica of a workload.
    Pod(Arc<Pod>),
    /// A name that clients call.
    Service(Arc<Service>),
    /// Rules that people declare.
    Resource(Resource),
}

/// Settings of the whole mesh. A source has one or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mesh {
    /// The namespace of clients that do not state theirs; empty for `default`.
    pub namespace: Arc<str>,
}

/// The kind of an object. A source lists and resets objects kind by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Object::Mesh`].
    Mesh,
    /// [`Object::Workload`] of this kind.
    Workload(WorkloadKind),
    /// [`Object::Pod`].
    Pod,
    /// [`Object::Service`].
    Service,
    /// [`Object::Resource`] of this kind.
    Resource(ResourceKind),
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty for [`Kind::Mesh`].
    pub namespace: Arc<str>,
    /// The name within the namespace; empty for [`Kind::Mesh`].
    pub name: Arc<str>,
}

impl Reference {
    /// Names the object `name` of a kind in a namespace.
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Names the settings of the mesh.
    pub fn mesh() -> Self {
        Self::new(Kind::Mesh, "", "")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Mesh => return f.write_str("mesh"),
            Kind::Workload(kind) => kind.as_str(),
            Kind::Pod => "pod",
            Kind::Service => "service",
            Kind::Resource(kind) => kind.as_str(),
        };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

impl Object {
    /// The reference that names it.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Mesh(_) => Reference::mesh(),
            Self::Workload(workload) => Reference {
                kind: Kind::Workload(workload.name.kind),
                namespace: workload.namespace.clone(),
                name: workload.name.name.clone(),
            },
            Self::Pod(pod) => Reference {
                kind: Kind::Pod,
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
            },
            Self::Service(service) => service.name.reference(),
            Self::Resource(resource) => resource.reference(),
        }
    }
}

impl From<Mesh> for Object {
    fn from(mesh: Mesh) -> Self {
        Self::Mesh(Arc::new(mesh))
    }
}

impl From<Workload> for Object {
    fn from(workload: Workload) -> Self {
        Self::Workload(Arc::new(workload))
    }
}

impl From<Pod> for Object {
    fn from(pod: Pod) -> Self {
        Self::Pod(Arc::new(pod))
    }
}

impl From<Service> for Object {
    fn from(service: Service) -> Self {
        Self::Service(Arc::new(service))
    }
}

impl From<ServiceProfile> for Object {
    fn from(profile: ServiceProfile) -> Self {
        Self::Resource(profile.into())
    }
}

impl From<TrafficSplit> for Object {
    fn from(split: TrafficSplit) -> Self {
        Self::Resource(split.into())
    }
}

impl From<Resource> for Object {
    fn from(resource: Resource) -> Self {
        Self::Resource(resource)
    }
}
