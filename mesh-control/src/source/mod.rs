//! Sources of objects, the store of resources, and the fleet of programs.

mod fleet;
mod sink;
mod store;

pub use self::{
    fleet::Fleet,
    sink::{Event, Sink},
    store::{Outcome, ResourceStore},
};

use std::{fmt::Debug, pin::Pin};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An error of a place that the control plane does not know.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A place that knows services, pods, workloads or resources: a registry, an API server, a folder.
///
/// A control plane may have several. If one ends, its last objects stay.
pub trait Source: Debug + Send + Sync {
    /// Sends everything there is to `sink`, calls [`Sink::ready`], and then sends every change,
    /// until the future is dropped.
    ///
    /// # Errors
    ///
    /// If the place cannot be followed any more, or not at all.
    fn run(&self, sink: Sink) -> BoxFuture<'_, Result<(), BoxError>>;
}
