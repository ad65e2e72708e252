use super::{BoxError, BoxFuture};
use crate::model::{Reference, Resource, Status};
use std::fmt::{self, Debug};

/// The place where declared resources are kept.
///
/// When a change is confirmed it is in force: the [`Source`](super::Source) of the same place has
/// sent it.
pub trait ResourceStore: Debug + Send + Sync {
    /// Keeps `resources`, which have been checked: all of them or none. Returns an outcome for
    /// each, in order.
    fn put(&self, resources: Vec<Resource>) -> BoxFuture<'_, Result<Vec<Outcome>, BoxError>>;

    /// Deletes a resource. Returns false if there was none.
    fn delete(&self, resource: Reference) -> BoxFuture<'_, Result<bool, BoxError>>;

    /// Keeps the conditions of a resource, for its author. Returns false if there is no such
    /// resource.
    fn set_status(
        &self,
        resource: Reference,
        status: Status,
    ) -> BoxFuture<'_, Result<bool, BoxError>>;

    /// The conditions that are kept of a resource; none if there are none yet.
    fn status(&self, resource: &Reference) -> Status;
}

/// The result of applying a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Created,
    /// It was different.
    Configured,
    /// It was the same.
    Unchanged,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}
