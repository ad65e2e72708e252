use crate::Exhausted;
use mesh_core::{BoxError, Fault, RetrySkipped};
use std::{any::Any, error::Error, io};

/// Maps errors of the inner service to faults.
///
/// It is implemented for `fn(&E) -> Option<Fault>`, the argument of
/// [`RetryLayer::inspect`](crate::RetryLayer::inspect), and for [`DefaultInspect`].
pub trait Inspect<E> {
    /// Returns the fault behind `error`, or `None` for an error that is not retried.
    fn fault(&self, error: &E) -> Option<Fault>;

    /// Marks `error` as [`Exhausted`] if its type can carry the mark. The default returns it as
    /// it is.
    fn exhausted(&self, error: E, reason: RetrySkipped) -> E {
        let _ = reason;
        error
    }
}

impl<E> Inspect<E> for fn(&E) -> Option<Fault> {
    fn fault(&self, error: &E) -> Option<Fault> {
        self(error)
    }
}

/// Recognizes [`BoxError`], [`Fault`] and [`io::Error`]; other errors are not retried.
///
/// The sources of a [`BoxError`] are searched, too, so a client's error with a refused connection
/// as its source is recognized. A [`BoxError`] becomes [`Exhausted`] when its retries are used up.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultInspect;

impl<E: 'static> Inspect<E> for DefaultInspect {
    fn fault(&self, error: &E) -> Option<Fault> {
        let error: &dyn Any = error;
        if let Some(error) = error.downcast_ref::<BoxError>() {
            return of_chain(&**error);
        }
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return Some(*fault);
        }
        error.downcast_ref::<io::Error>().and_then(of_io)
    }

    fn exhausted(&self, error: E, reason: RetrySkipped) -> E {
        let mut error = Some(error);
        let any: &mut dyn Any = &mut error;
        if let Some(boxed) = any.downcast_mut::<Option<BoxError>>() {
            *boxed = boxed
                .take()
                .map(|error| Exhausted::new(error, reason).into());
        }
        error.expect("what was taken out was put back")
    }
}

fn of_chain(error: &(dyn Error + 'static)) -> Option<Fault> {
    Fault::of(error).or_else(|| {
        std::iter::successors(Some(error), |error| (*error).source())
            .find_map(|error| error.downcast_ref::<io::Error>().and_then(of_io))
    })
}

fn of_io(error: &io::Error) -> Option<Fault> {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown => Some(Fault::Refused),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Some(Fault::Reset),
        _ => None,
    }
}

/// Returns true if another attempt may avoid the fault.
///
/// The request must be safe to send twice: faults of requests that may have been processed are
/// retryable, too.
pub(crate) fn is_retryable(fault: Fault) -> bool {
    match fault {
        Fault::NeverSent
        | Fault::Refused
        | Fault::ConnectTimeout
        | Fault::Reset
        | Fault::MaybeProcessed
        | Fault::Injected => true,
        // This is the limit of one attempt; the limit of all is above this layer.
        Fault::Elapsed => true,
        // The fail-fast limit has passed already.
        Fault::NoEndpoint => false,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_found_below_other_errors() {
        #[derive(Debug)]
        struct Client(io::Error);
        impl std::fmt::Display for Client {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("client error")
            }
        }
        impl Error for Client {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }

        let boxed: BoxError = Box::new(Client(io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(DefaultInspect.fault(&boxed), Some(Fault::Refused));
        let plain = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(DefaultInspect.fault(&plain), Some(Fault::Reset));
        let boxed: BoxError = "no idea".into();
        assert_eq!(DefaultInspect.fault(&boxed), None);
        assert_eq!(DefaultInspect.fault(&Fault::Reset), Some(Fault::Reset));
        assert_eq!(DefaultInspect.fault(&()), None);
    }
}
