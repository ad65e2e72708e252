#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod destination;
mod watch;

#[cfg(feature = "control")]
mod control;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "control")]
pub mod wire;
#[cfg(feature = "control")]
mod workload;

#[cfg(feature = "file")]
pub use self::file::{FileSource, InvalidFile};
#[cfg(feature = "control")]
pub use self::{
    control::{Control, ControlConfig, InvalidAddr, Refused, Registered, Registration},
    workload::Workload,
};
pub use self::{
    destination::{Destination, Endpoint, Leaf},
    watch::{Publisher, Watch},
};
pub use mesh_profile::ProfileSpec;
