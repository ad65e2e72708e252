use mesh_core::{BoxError, RetrySkipped};
use std::{error::Error, fmt};

/// The error of the last attempt, after all retries that were allowed.
///
/// A failed response has the header `mesh-no-retry` for that. An error has no headers, so a
/// [`BoxError`] is wrapped in this type, with the same message and the error as its source. A service
/// that converts it to a response sets `mesh-no-retry` there:
///
/// ```
/// use http::{HeaderValue, Response};
/// use mesh_retry::{BoxError, Exhausted, MESH_NO_RETRY};
///
/// fn respond(error: &BoxError) -> Response<()> {
///     let mut rsp = Response::new(());
///     *rsp.status_mut() = http::StatusCode::BAD_GATEWAY;
///     if let Some(exhausted) = Exhausted::of(&**error) {
///         let reason = HeaderValue::from_static(exhausted.reason().as_str());
///         rsp.headers_mut().insert(MESH_NO_RETRY, reason);
///     }
///     rsp
/// }
/// # respond(&"broken".into());
/// ```
#[derive(Debug)]
pub struct Exhausted {
    reason: RetrySkipped,
    error: BoxError,
}

impl Exhausted {
    pub(crate) fn new(error: BoxError, reason: RetrySkipped) -> Self {
        Self { reason, error }
    }

    /// Finds an `Exhausted` in `error` or its sources.
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| (*error).source())
            .find_map(|error: &'a (dyn Error + 'static)| error.downcast_ref())
    }

    /// Returns the reason why there was no further attempt.
    pub fn reason(&self) -> RetrySkipped {
        self.reason
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Exhausted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}
