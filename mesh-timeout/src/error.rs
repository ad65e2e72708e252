use mesh_core::Fault;
use std::{error::Error, fmt, time::Duration};

/// The phase of an exchange that a limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The response head, retries included.
    Head,
    /// The response head of one attempt.
    Attempt,
    /// The next frame of either body.
    Idle,
    /// The end of the response body.
    Exchange,
    /// Anything, once the caller's own deadline has passed.
    Deadline,
}

impl Phase {
    /// The value of metric labels: lower case, one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Attempt => "attempt",
            Self::Idle => "idle",
            Self::Exchange => "exchange",
            Self::Deadline => "deadline",
        }
    }
}

/// A deadline passed: which one, and how long it allowed.
///
/// Its source is [`Fault::Elapsed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    phase: Phase,
    limit: Duration,
    ends_retries: bool,
}

impl Elapsed {
    pub(crate) fn new(phase: Phase, limit: Duration) -> Self {
        Self {
            phase,
            limit,
            ends_retries: false,
        }
    }

    pub(crate) fn ending_retries(mut self, ends_retries: bool) -> Self {
        self.ends_retries = ends_retries;
        self
    }

    /// Returns the phase that took too long.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the limit. For [`Phase::Deadline`], it is the time that was left when the
    /// request arrived.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Returns true if the limit was for all attempts of a request with a retryable route.
    ///
    /// A service that makes a response of it says `mesh-no-retry: limit` there, so that its
    /// callers do not go on where it had to stop.
    pub fn ends_retries(&self) -> bool {
        self.ends_retries
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        match self.phase {
            Phase::Head => write!(f, "no response head within {limit:?}"),
            Phase::Attempt => write!(f, "no response head within {limit:?} of this attempt"),
            Phase::Idle => write!(f, "no frame of either body for {limit:?}"),
            Phase::Exchange => write!(f, "response not complete within {limit:?}"),
            Phase::Deadline => write!(f, "the caller's deadline passed, {limit:?} were left"),
        }
    }
}

impl Error for Elapsed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_core::BoxError;

    #[test]
    fn an_elapsed_names_its_phase_and_limit_and_is_a_fault() {
        let error: BoxError = Elapsed::new(Phase::Head, Duration::from_millis(300)).into();
        assert_eq!(error.to_string(), "no response head within 300ms");
        assert_eq!(Fault::of(&*error), Some(Fault::Elapsed));
    }
}
