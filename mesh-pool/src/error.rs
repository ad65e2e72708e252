use crate::Returned;
use http::Request;
use mesh_core::Fault;
use std::{
    any::Any,
    error::Error,
    fmt, io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Why a request could not be sent to an endpoint, or got no answer from it.
///
/// Its source is the [`Fault`], which says whether it may be tried again.
pub struct SendError {
    fault: Fault,
    endpoint: SocketAddr,
    cause: String,
    caller: Option<CallerFault>,
    head_too_large: bool,
    /// The request, if it never left.
    back: Option<Box<dyn Any + Send + Sync>>,
}

impl SendError {
    pub(crate) fn new(fault: Fault, endpoint: SocketAddr, cause: impl Error) -> Self {
        // The innermost cause says most: "connection refused" rather than "client error".
        let mut inner: &dyn Error = &cause;
        while let Some(source) = inner.source() {
            inner = source;
        }
        Self {
            fault,
            endpoint,
            cause: inner.to_string(),
            caller: None,
            head_too_large: false,
            back: None,
        }
    }

    /// Gives the request back, which never left.
    pub(super) fn with_unsent<B: Send + 'static>(mut self, req: Option<Request<B>>) -> Self {
        self.back = req.map(|req| Box::new(Mutex::new(req)) as Box<dyn Any + Send + Sync>);
        self
    }

    /// The request, if it was given back and has a body of this type.
    pub fn take_back<B: Send + 'static>(&mut self) -> Option<Returned<B>> {
        let back = self.back.take()?.downcast::<Mutex<Request<B>>>().ok()?;
        Some(Returned {
            req: back.into_inner().unwrap_or_else(PoisonError::into_inner),
            from: self.endpoint,
        })
    }

    /// Returns true if the head of the response was larger than the settings allow. Over HTTP/2 it
    /// may also have been malformed, which h2 does not tell apart.
    pub fn is_head_too_large(&self) -> bool {
        self.head_too_large
    }

    /// The endpoint's proxy answers that the caller's deadline had passed.
    pub(super) fn late(endpoint: SocketAddr) -> Self {
        Self {
            fault: Fault::Elapsed,
            endpoint,
            cause: CallerFault::DeadlinePassed.to_string(),
            caller: Some(CallerFault::DeadlinePassed),
            head_too_large: false,
            back: None,
        }
    }

    /// An exchange over HTTP/2 that broke before any answer.
    pub(super) fn broken_stream(error: h2::Error, endpoint: SocketAddr, safe: bool) -> Self {
        if is_reset_here(&error) {
            // The pool resets a stream only when its request body breaks off.
            let mut sent = Self::new(Fault::Client, endpoint, error);
            sent.caller = Some(CallerFault::BrokenBody);
            return sent;
        }
        if error.is_library() && error.is_reset() {
            return Self::large_head(endpoint);
        }
        let fault = if is_protocol_error(&error) {
            Fault::Protocol
        } else if safe {
            Fault::Reset
        } else {
            Fault::MaybeProcessed
        };
        Self::new(fault, endpoint, error)
    }

    /// A response whose head is too large, or malformed.
    pub(super) fn large_head(endpoint: SocketAddr) -> Self {
        let mut sent = Self::new(Fault::Protocol, endpoint, MalformedHead);
        sent.head_too_large = true;
        sent
    }

    /// An exchange that broke before any answer. `safe` says whether the request may be sent
    /// twice.
    pub(super) fn broken(error: &hyper::Error, endpoint: SocketAddr, safe: bool) -> Self {
        let fault = if error.is_parse() {
            Fault::Protocol
        } else if is_reset(error) {
            if safe {
                Fault::Reset
            } else {
                Fault::MaybeProcessed
            }
        } else if error.is_user() {
            // The caller's request body broke off.
            Fault::Client
        } else {
            Fault::Unexpected
        };
        let mut sent = Self::new(fault, endpoint, Cause(error));
        sent.head_too_large = error.is_parse_too_large();
        let known = source::<CallerFault>(error).cloned();
        sent.caller = known.or_else(|| error.is_user().then_some(CallerFault::BrokenBody));
        sent
    }
}

/// The caller's own fault, for which its request could not be sent: a source of [`SendError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallerFault {
    /// It sent no more of the request body for this long.
    SilentBody(Duration),
    /// The request body broke off, or is not what its head says.
    BrokenBody,
    /// Its deadline had passed when the request came to the endpoint's proxy.
    DeadlinePassed,
}

impl fmt::Display for CallerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SilentBody(gap) => write!(f, "no more of the body within {gap:?}"),
            Self::BrokenBody => {
                f.write_str("the request's body broke off, or is not what its head says")
            }
            Self::DeadlinePassed => f.write_str("the caller's deadline had passed"),
        }
    }
}

impl Error for CallerFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Client)
    }
}

/// The reason for a stream that h2 has reset before there was a response.
#[derive(Debug)]
struct MalformedHead;

impl fmt::Display for MalformedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response's head is malformed or too large")
    }
}

impl Error for MalformedHead {}

/// Borrows an error so that its sources can be walked.
#[derive(Debug)]
struct Cause<'a>(&'a hyper::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause<'_> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fault,
            endpoint,
            cause,
            ..
        } = self;
        match fault {
            Fault::Refused | Fault::ConnectTimeout => {
                write!(f, "cannot connect to {endpoint}: {cause}")
            }
            _ => write!(f, "{fault} at {endpoint}: {cause}"),
        }
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("fault", &self.fault)
            .field("endpoint", &self.endpoint)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.caller {
            Some(caller) => Some(caller),
            None => Some(&self.fault),
        }
    }
}

/// Returns true if the peer, or the network, broke the exchange off.
fn is_reset(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || error.is_body_write_aborted()
        || source::<io::Error>(error).is_some()
}

/// Returns true if this end has reset the stream on purpose.
fn is_reset_here(error: &h2::Error) -> bool {
    error.is_reset() && !error.is_remote() && !error.is_library()
}

/// Returns true if one end found the other's messages malformed, which they will be again: h2 those
/// of the peer, or the peer those of this stream.
fn is_protocol_error(error: &h2::Error) -> bool {
    error.is_library() || error.is_reset() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR)
}

/// Returns true if HTTP/2 says that the peer did nothing with the request (RFC 9113, 8.7).
pub(super) fn is_unprocessed(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote() && reason == Some(h2::Reason::REFUSED_STREAM)
        // A graceful GOAWAY fails only the streams that the peer will not look at.
        || error.is_go_away() && error.is_remote() && reason == Some(h2::Reason::NO_ERROR)
}

fn source<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
