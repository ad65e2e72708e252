#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod canary;
mod invalid;
mod metadata;
pub mod names;
mod service_profile;
mod template;
mod traffic_split;

pub use self::{
    canary::read_canary,
    invalid::InvalidManifest,
    metadata::Metadata,
    service_profile::ServiceProfileManifest,
    template::template,
    traffic_split::{
        MAX_BACKENDS, MAX_WEIGHT, RouteGroupReference, SplitBackend, TrafficSplitManifest,
        TrafficSplitSpec,
    },
};
pub use mesh_profile::{InvalidWeight, ProfileSpec, Weight, duration};
pub use mesh_yaml as yaml;
