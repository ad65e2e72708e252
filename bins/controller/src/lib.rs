//! The mesh control plane: resources in, discovery and statistics out.
//!
//! ```text
//! source/  ->  mesh-control  ->  http/  JSON to the command line
//!                            ->  gRPC to the sidecars
//! ```
//!
//! `mesh-control` holds the index, gRPC, statistics and tap. This program adds one source, the state
//! folder, and the JSON API, and assembles them.

pub mod admit;
mod canary;
mod config;
mod faults;
mod fleet;
pub mod http;
pub mod resource;
mod run;
pub mod source;
mod start;
mod state_dir;

pub use self::{
    canary::Canaries,
    config::{Args, Config},
    faults::FaultStore,
    fleet::Supervisor,
    run::{Controller, run},
    start::start,
    state_dir::{Running, StateDir},
};
pub use mesh_control::model::{GATEWAY, ServiceName};
