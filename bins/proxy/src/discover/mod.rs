//! Where destinations are learned from: a controller, DNS, or the command line.

pub(crate) mod resolve;
pub(crate) mod standalone;

use mesh_discover::{Control, Destination, FaultRule, Watch};
use std::time::Duration;

/// Where destinations are learned from.
pub trait Discover: Send + Sync + 'static {
    /// Follows `authority`, `host[:port]`, until the last clone of the watch is dropped.
    fn destination(&self, authority: &str) -> Watch<Destination>;

    /// Follows the faults to inject, until the last clone of the watch is dropped; `None` if the
    /// source has none.
    fn faults(&self) -> Option<Watch<Vec<FaultRule>>> {
        None
    }

    /// Returns true once the source has been reached.
    fn is_ready(&self) -> bool {
        true
    }

    /// Time since the source was lost; `None` while it is connected.
    fn lost(&self) -> Option<Duration> {
        None
    }

    /// Number of ignored messages: empty or unreadable.
    fn ignored(&self) -> u64 {
        0
    }

    /// Number of destinations whose removal waits for its grace period.
    fn pending_removals(&self) -> u64 {
        0
    }
}

impl Discover for Control {
    fn destination(&self, authority: &str) -> Watch<Destination> {
        Self::destination(self, authority)
    }

    fn faults(&self) -> Option<Watch<Vec<FaultRule>>> {
        Some(Self::faults(self))
    }

    fn lost(&self) -> Option<Duration> {
        Self::lost(self)
    }

    fn ignored(&self) -> u64 {
        Self::ignored(self)
    }

    fn pending_removals(&self) -> u64 {
        Self::pending_removals(self)
    }
}
