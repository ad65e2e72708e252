#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod names;
mod service_profile;
mod template;

pub use self::{
    service_profile::{InvalidManifest, Metadata, ServiceProfileManifest},
    template::template,
};
pub use mesh_profile::{InvalidWeight, ProfileSpec, Weight, duration};
pub use mesh_yaml as yaml;
