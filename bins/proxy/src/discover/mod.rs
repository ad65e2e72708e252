//! Where destinations are learned from: a controller, DNS, or the command line.

pub(crate) mod resolve;
pub(crate) mod standalone;

use mesh_discover::{Control, Destination, Watch};
use std::time::Duration;

/// Where destinations are learned from.
pub trait Discover: Send + Sync + 'static {
    /// Follows `authority`, `host[:port]`, until the last clone of the watch is dropped.
    fn destination(&self, authority: &str) -> Watch<Destination>;

    /// Whether the source has been reached.
    fn is_ready(&self) -> bool {
        true
    }

    /// How long the source has been lost; `None` while it is there.
    fn lost(&self) -> Option<Duration> {
        None
    }

    /// How many of its messages were of no use.
    fn ignored(&self) -> u64 {
        0
    }

    /// How many destinations it has lost, as it seems, and nobody believes yet.
    fn doubted(&self) -> u64 {
        0
    }
}

impl Discover for Control {
    fn destination(&self, authority: &str) -> Watch<Destination> {
        Self::destination(self, authority)
    }

    fn lost(&self) -> Option<Duration> {
        Self::lost(self)
    }

    fn ignored(&self) -> u64 {
        Self::ignored(self)
    }

    fn doubted(&self) -> u64 {
        Self::doubted(self)
    }
}
