//! The gRPC services that sidecars and embedded programs call.
//!
//! [`DestinationApi`] serves discovery, [`RegistryApi`] registration, and [`FaultsApi`] faults to inject. With `mesh_discover::wire`,
//! this is the one place that sees wire types.

mod context;
mod destination;
mod faults;
mod owner;
mod registration;
mod registry;
mod updates;

pub use self::{
    destination::{DestinationApi, profile},
    faults::FaultsApi,
    registry::RegistryApi,
};
