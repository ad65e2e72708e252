//! Answers to the questions of sidecars.

use crate::model::{Reference, ServiceName};
use mesh_discover::Endpoint;
use mesh_profile::{TypedProfile, WeightedDst};
use std::sync::Arc;

/// The service that an authority names, and the rules that apply to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Apex {
    /// The service, if the mesh has it on this port.
    pub service: Option<ServiceName>,
    /// Its full name, without a port.
    pub fqdn: Arc<str>,
    /// The port asked for.
    pub port: u16,
    /// Routes, budget and leaves; invalid parts of the resource are left out.
    pub profile: Arc<TypedProfile>,
    /// The resource that declares them.
    pub resource: Option<Reference>,
    /// The TrafficSplit in force, which replaces the leaves of the profile.
    pub split: Option<Split>,
    /// The port carries bytes, not HTTP.
    pub opaque: bool,
}

/// The endpoints of an authority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// There is such a service.
    pub exists: bool,
    /// Its endpoints, sorted by address.
    pub list: Arc<[Endpoint]>,
}

/// A TrafficSplit that is in force on one port of its apex.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The resource.
    pub resource: Reference,
    /// The leaves that have the port, by full name and port.
    pub leaves: Vec<WeightedDst>,
}

impl Apex {
    /// The leaves and their weights: of the TrafficSplit if there is one, else of the profile.
    pub fn leaves(&self) -> &[WeightedDst] {
        match &self.split {
            Some(split) => &split.leaves,
            None => self.profile.dst_overrides(),
        }
    }
}
