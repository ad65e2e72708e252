#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod destination;
mod watch;

#[cfg(feature = "control")]
mod control;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "control")]
pub mod wire;

#[cfg(feature = "control")]
pub use self::control::{Control, ControlConfig, InvalidAddr};
#[cfg(feature = "file")]
pub use self::file::{FileSource, InvalidFile};
pub use self::{
    destination::{Destination, Endpoint, Leaf},
    watch::{Publisher, Watch},
};
pub use mesh_profile::ProfileSpec;
