#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backend;
mod destination;
#[cfg(feature = "control")]
mod fault;
mod rule;
mod watch;

#[cfg(feature = "control")]
mod control;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "follow")]
pub mod follow;
#[cfg(feature = "control")]
pub mod wire;
#[cfg(feature = "control")]
mod workload;

#[cfg(feature = "file")]
pub use self::file::{FileSource, InvalidFile};
pub use self::{
    backend::{Backend, Endpoint},
    destination::{Destination, Protocol},
    rule::{RouteRule, Share},
    watch::{Publisher, Watch},
};
#[cfg(feature = "control")]
pub use self::{
    control::{Control, ControlConfig, InvalidAddr, Refused, Registered, Registration},
    fault::{FaultKind, FaultRule},
    workload::Workload,
};
pub use mesh_profile::{Profile, ProfileSpec, RequestMatchSpec, RetryBudget};
