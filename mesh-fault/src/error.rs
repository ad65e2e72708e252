use crate::{Injected, MAX_DELAY, MAX_INJECTIONS};
use mesh_core::Fault;
use std::{error::Error, fmt};

/// An injected reset: the caller sees its exchange broken off, and the service below is not called.
///
/// Its source is [`Fault::Injected`]. A server that finds it among the sources of an error should
/// reset the stream or close the connection, rather than answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedReset(pub(crate) Injected);

impl InjectedReset {
    /// The injection that did it.
    pub fn injected(&self) -> Injected {
        self.0
    }

    /// Finds an injected reset in `error` or its sources.
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(reset) = error.downcast_ref() {
                return Some(reset);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for InjectedReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reset on purpose by injection {}", self.0.id())
    }
}

impl Error for InjectedReset {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Injected)
    }
}

/// An injection was asked for that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidInjection(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Share,
    Delay,
    Status,
    GrpcStatus,
    Duration,
}

impl InvalidInjection {
    pub(crate) fn share() -> Self {
        Self(Reason::Share)
    }

    pub(crate) fn delay() -> Self {
        Self(Reason::Delay)
    }

    pub(crate) fn status() -> Self {
        Self(Reason::Status)
    }

    pub(crate) fn grpc_status() -> Self {
        Self(Reason::GrpcStatus)
    }

    pub(crate) fn duration() -> Self {
        Self(Reason::Duration)
    }
}

impl fmt::Display for InvalidInjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Share => f.write_str("a share must be above 0% and at most 100%"),
            Reason::Delay => write!(
                f,
                "a delay must be above 0s and at most {MAX_DELAY:?}, and a range must not end before \
                 it begins"
            ),
            Reason::Status => f.write_str("the status of an error must be from 400 to 599"),
            Reason::GrpcStatus => f.write_str("the gRPC status of an error must be from 1 to 16"),
            Reason::Duration => f.write_str("the time of an injection must be above 0s"),
        }
    }
}

impl Error for InvalidInjection {}

/// [`MAX_INJECTIONS`] are active already; remove one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyInjections(pub(crate) ());

impl fmt::Display for TooManyInjections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{MAX_INJECTIONS} injections are active already; remove one first"
        )
    }
}

impl Error for TooManyInjections {}
