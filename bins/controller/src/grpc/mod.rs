//! gRPC to the sidecars: the one place, besides `mesh_discover::wire`, that sees wire types.

mod candidate;
mod context;
mod destination;
mod owner;
mod registry;
mod updates;

pub use self::{destination::DestinationApi, registry::RegistryApi};
