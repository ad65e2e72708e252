//! The mesh control plane: resources in, discovery and statistics out.
//!
//! ```text
//! source/  ->  index  ->  api/   gRPC to the sidecars
//!                     ->  web/   JSON to the command line
//! stats/              ->
//! ```
//!
//! The index is plain data and decides everything; what is around it only watches and answers.

pub mod index;
mod name;
pub mod resource;
pub mod source;
mod state_dir;
pub mod stats;
pub mod tap;
pub mod web;

pub use self::{
    name::ServiceName,
    state_dir::{Running, StateDir},
};
