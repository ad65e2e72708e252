use mesh_discover::{Control, Destination, Watch};

/// Where destinations are learned from.
pub trait Discover: Send + Sync + 'static {
    /// Follows `authority`, `host[:port]`, until the last clone of the watch is dropped.
    fn destination(&self, authority: &str) -> Watch<Destination>;

    /// Whether the source has been reached.
    fn is_ready(&self) -> bool {
        true
    }
}

impl Discover for Control {
    fn destination(&self, authority: &str) -> Watch<Destination> {
        Self::destination(self, authority)
    }
}
