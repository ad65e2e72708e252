//! The gRPC services that sidecars and embedded programs call.
//!
//! [`DestinationApi`] serves discovery and [`RegistryApi`] registration. With `mesh_discover::wire`,
//! this is the one place that sees wire types.

mod context;
mod destination;
mod owner;
mod registration;
mod registry;
mod updates;

pub use self::{
    destination::{DestinationApi, profile},
    registry::RegistryApi,
};
