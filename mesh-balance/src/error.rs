use mesh_core::Fault;
use std::{error::Error, fmt, time::Duration};

/// There was no endpoint, and none came within the fail-fast limit; or too many requests waited for
/// one already.
///
/// Its source is [`Fault::NoEndpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEndpoint {
    limit: Duration,
    /// Number of waiting requests, if too many of them were the reason.
    crowd: Option<usize>,
}

impl NoEndpoint {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, crowd: None }
    }

    pub(crate) fn crowded(limit: Duration, waiting: usize) -> Self {
        let crowd = Some(waiting);
        Self { limit, crowd }
    }

    /// Returns true if the request did not wait, as [`max_waiting`](crate::Config::max_waiting)
    /// requests did already.
    pub fn is_crowded(&self) -> bool {
        self.crowd.is_some()
    }

    /// Returns the longest wait for an endpoint.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.crowd {
            None => write!(f, "no endpoint within {:?}", self.limit),
            Some(waiting) => write!(
                f,
                "no endpoint, and {waiting} requests wait for one already"
            ),
        }
    }
}

impl Error for NoEndpoint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::NoEndpoint)
    }
}
