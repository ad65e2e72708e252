//! Services, pods, workloads and rules as plain values.
//!
//! A [`Source`](crate::source::Source) makes [`Object`]s of what it knows; the
//! [`Index`](crate::index::Index) combines them. No type here knows a file format or a wire.
//!
//! Services, ports and pods are many to many: a service selects pods of several workloads, a pod
//! belongs to several services, and each has several ports.

mod name;
mod object;
mod pod;
mod rejection;
mod resource;
mod service;
mod workload;

pub use self::{
    name::{ServiceName, host_port},
    object::{Kind, Mesh, Object, Reference},
    pod::{Conditions, Pod, PodPort},
    rejection::Rejection,
    resource::{
        Canary, Condition, ConditionKind, Leaf, Metadata, Resource, ResourceKind, ServiceProfile,
        Status, TrafficSplit,
    },
    service::{Members, Port, Protocol, Service, Target},
    workload::{GATEWAY, Workload, WorkloadKind, WorkloadName},
};
