//! Where resources and workloads come from, and where changed resources are kept.

mod atomic;
mod local;
pub mod workloads;

pub use self::{atomic::write as write_atomically, local::Local};

use crate::resource::{Key, Manifest, Outcome};
use futures_util::future::BoxFuture;
use std::fmt;

/// A place of resources and workloads: a folder, or an API server.
///
/// It feeds the index it was made with; what it accepts is in the index when it says so.
pub trait Source: fmt::Debug + Send + Sync {
    /// Follows the place, until the future is dropped.
    fn watch(&self) -> BoxFuture<'_, ()>;

    /// Keeps `resources`, which have been admitted, all of them or none; says what became of
    /// each.
    fn put(&self, resources: Vec<Manifest>) -> BoxFuture<'_, anyhow::Result<Vec<Outcome>>>;

    /// Deletes a resource; says whether there was one.
    fn delete(&self, key: Key) -> BoxFuture<'_, anyhow::Result<bool>>;
}
