use mesh_core::Fault;
use std::{error::Error, fmt, time::Duration};

/// There was no endpoint, and none came within the fail-fast limit.
///
/// Its source is [`Fault::NoEndpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEndpoint {
    limit: Duration,
}

impl NoEndpoint {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit }
    }

    /// How long a request may wait for an endpoint.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no endpoint within {:?}", self.limit)
    }
}

impl Error for NoEndpoint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::NoEndpoint)
    }
}
