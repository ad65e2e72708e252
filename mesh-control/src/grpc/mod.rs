//! gRPC to the sidecars: the one place, besides `mesh_discover::wire`, that sees wire types.

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
