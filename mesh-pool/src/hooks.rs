use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use mesh_core::{Fault, hot::KeptHead};

/// Functions through which a pool asks the layers above it about a request.
///
/// The default is that of a pool that stands alone.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// Returns true if a layer above sends the request again when it fails: the error then says
    /// that this is safe.
    pub is_retried: fn(&Extensions) -> bool,
    /// Returns the head of the request if a layer above keeps it unchanged; else the pool keeps
    /// a copy.
    pub kept_head: fn(&Extensions) -> Option<&KeptHead>,
    /// Takes the extensions of a request that is over.
    pub recycle: fn(Extensions),
}

impl Hooks {
    /// A pool that stands alone.
    pub const NONE: Self = Self {
        is_retried: |_| false,
        kept_head: |_| None,
        recycle: drop,
    };
}

impl Default for Hooks {
    fn default() -> Self {
        Self::NONE
    }
}

/// A proxy at the other end, which says when it could not reach its own endpoint.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Added to each request.
    pub header: (HeaderName, HeaderValue),
    /// Reads in the head of a response why the proxy's endpoint has not seen the request:
    /// `Refused` or `ConnectTimeout` if it cannot be reached, `Elapsed` if the caller's deadline had
    /// passed.
    pub refusal: fn(&HeaderMap) -> Option<Fault>,
}
