//! The mesh control plane: resources in, discovery and statistics out.
//!
//! ```text
//! source/  ->  index  ->  grpc/  destinations to the sidecars
//!                     ->  http/  JSON to the command line
//! stats/              ->
//! ```
//!
//! The index is plain data and decides everything; what is around it only watches and answers.

pub mod admit;
mod config;
mod fleet;
pub mod grpc;
pub mod http;
mod lock;
pub mod resource;
mod run;
mod socket;
pub mod source;
mod start;
mod state_dir;
pub mod stats;
pub mod tap;

pub use self::{
    config::{Args, Config},
    fleet::Supervisor,
    run::{Controller, run},
    start::start,
    state_dir::{Running, StateDir},
};
pub use mesh_control::model::ServiceName;
