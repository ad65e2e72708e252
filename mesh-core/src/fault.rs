use std::{any::Any, error::Error, fmt};

/// The error of middleware that can add a failure of its own.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Kind of a failure, for metric labels, tap, response headers and retry decisions.
///
/// Errors of middleware wrap a `Fault` or have one as their source, so that [`Fault::of`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A deadline passed.
    Elapsed,
    /// No byte of the request was sent.
    NeverSent,
    /// The endpoint or the network refused the connection.
    Refused,
    /// Connecting took too long.
    ConnectTimeout,
    /// No endpoint was usable within the fail-fast limit.
    NoEndpoint,
    /// A limit of this program was reached.
    Overloaded,
    /// A fault injected on purpose.
    Injected,
    /// The peer broke off the exchange.
    Reset,
    /// The request was written and then lost, and is not safe to send again.
    MaybeProcessed,
    /// The peer did not speak the protocol.
    Protocol,
    /// The caller broke off its request.
    Client,
    /// Anything else.
    Unexpected,
}

impl Fault {
    /// The value of metric labels and of the reason in a header: lower case, with dashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Elapsed => "timeout",
            Self::NeverSent => "never-sent",
            Self::Refused => "connect-refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::NoEndpoint => "no-endpoint",
            Self::Overloaded => "overloaded",
            Self::Injected => "injected",
            Self::Reset => "reset",
            Self::MaybeProcessed => "maybe-processed",
            Self::Protocol => "protocol",
            Self::Client => "client",
            Self::Unexpected => "unexpected",
        }
    }

    /// Finds the fault in `error` or its sources.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(fault) = error.downcast_ref::<Self>() {
                return Some(*fault);
            }
            next = error.source();
        }
        None
    }

    /// Finds the fault in an error of any type: a `Fault`, or a [`BoxError`] and its sources.
    pub fn of_any(error: &dyn Any) -> Option<Self> {
        match error.downcast_ref::<BoxError>() {
            Some(error) => Self::of(&**error),
            None => error.downcast_ref::<Self>().copied(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(Fault);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_fault_is_found_through_the_sources_of_an_error() {
        let error: BoxError = Box::new(Wrapped(Fault::Elapsed));
        assert_eq!(Fault::of(&*error), Some(Fault::Elapsed));
        assert_eq!(Fault::of(&fmt::Error), None);
        assert_eq!(Fault::of_any(&error), Some(Fault::Elapsed));
        assert_eq!(Fault::of_any(&Fault::Reset), Some(Fault::Reset));
        assert_eq!(Fault::of_any(&fmt::Error), None);
    }
}
