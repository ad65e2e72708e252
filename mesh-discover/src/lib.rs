//! Being written.
#![forbid(unsafe_code)]

mod destination;
mod watch;

#[cfg(feature = "control")]
mod control;
#[cfg(feature = "control")]
pub mod wire;

#[cfg(feature = "control")]
pub use self::control::{Control, ControlConfig, InvalidAddr};
pub use self::{
    destination::{Destination, Endpoint, Leaf},
    watch::{Publisher, Watch},
};
pub use mesh_profile::ProfileSpec;
