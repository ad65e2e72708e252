use crate::hot::KeptHead;
use http::Request;
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The number of an attempt, and the endpoints that received the request so far.
/// A retry layer inserts one into the extensions of each attempt of a request that it may retry. A
/// balancer adds the endpoint it chose and avoids those already tried. Clones share their state, so
/// the retry layer sees the endpoint of a failed attempt, and observers of the last attempt see the
/// reason why no other followed.
///
/// The head of the original request that the retry layer keeps goes along, too: a connection pool
/// that sends once more what provably never arrived need not keep another.
#[derive(Clone, Debug)]
pub struct Attempt {
    number: u32,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tried: Mutex<Tried>,
    head: Option<KeptHead>,
}

/// Endpoints, oldest first. Most requests are sent once, and one address needs no list.
#[derive(Debug, Default)]
struct Tried {
    first: Option<SocketAddr>,
    more: Vec<SocketAddr>,
    skipped: Option<RetrySkipped>,
}

impl Attempt {
    /// Largest number of remembered endpoints; the oldest is forgotten first.
    pub const MAX_TRIED: usize = 8;

    /// The original request: the first attempt.
    pub fn first() -> Self {
        Self::with(None)
    }

    /// The first attempt of a request whose head is kept for further ones. Unstable.
    #[doc(hidden)]
    pub fn keeping(head: KeptHead) -> Self {
        Self::with(Some(head))
    }

    fn with(head: Option<KeptHead>) -> Self {
        let tried = Mutex::default();
        Self {
            number: 1,
            shared: Arc::new(Shared { tried, head }),
        }
    }

    /// The attempt after this one; it remembers the same endpoints.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            number: self.number.saturating_add(1),
            shared: self.shared.clone(),
        }
    }

    /// The attempt that `req` is.
    pub fn of<B>(req: &Request<B>) -> Option<&Self> {
        req.extensions().get::<Self>()
    }

    /// 1 for the original request, 2 for its first retry.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns true for every attempt after the original request.
    pub fn is_retry(&self) -> bool {
        self.number > 1
    }

    /// The head that is kept: that of the original request, as it left the retry layer. What layers
    /// in between have changed is not in it, nor what a retry says of itself. Unstable.
    #[doc(hidden)]
    pub fn kept(&self) -> Option<&KeptHead> {
        self.shared.head.as_ref()
    }

    /// Notes that this attempt went to `endpoint`.
    pub fn note(&self, endpoint: SocketAddr) {
        let mut tried = self.lock();
        if tried.all().any(|known| known == endpoint) {
            return;
        }
        if tried.first.is_none() {
            tried.first = Some(endpoint);
            return;
        }
        if tried.all().count() == Self::MAX_TRIED {
            tried.first = Some(tried.more.remove(0));
        }
        tried.more.push(endpoint);
    }

    /// The endpoints that attempts of this request went to, oldest first.
    pub fn tried(&self) -> Vec<SocketAddr> {
        self.lock().all().collect()
    }

    /// Notes why no attempt follows the failure of this one, though it might have.
    pub fn skip(&self, reason: RetrySkipped) {
        self.lock().skipped = Some(reason);
    }

    /// Returns the reason why no attempt followed, once that is decided.
    pub fn skipped(&self) -> Option<RetrySkipped> {
        self.lock().skipped
    }

    fn lock(&self) -> MutexGuard<'_, Tried> {
        self.shared
            .tried
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    fn all(&self) -> impl Iterator<Item = SocketAddr> {
        self.first.iter().chain(&self.more).copied()
    }
}

/// Reasons why a failed request was not retried, for metrics and tap.
///
/// A retry layer puts it into the extensions of the response that it returns; of an error, which
/// has none, it tells the [`Attempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetrySkipped {
    /// The budget had nothing left.
    NoBudget,
    /// The route's or the layer's largest number of attempts is reached.
    Limit,
    /// The request body is larger than may be kept.
    BodyTooLarge,
    /// The request body was still being sent when the response came.
    BodyIncomplete,
    /// All memory set aside for request bodies is in use.
    NoMemory,
    /// A service below asked its callers not to retry (`mesh-no-retry`, gRPC push-back).
    Refused,
}

impl RetrySkipped {
    /// The value of the metric label `skipped`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoBudget => "no_budget",
            Self::Limit => "limit",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyIncomplete => "body_incomplete",
            Self::NoMemory => "no_memory",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for RetrySkipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_tried_are_shared_bounded_and_the_oldest_goes_first() {
        let addr = |n: u16| SocketAddr::from(([127, 0, 0, 1], n));
        let first = Attempt::first();
        let mut last = first.clone();
        for n in 0..20 {
            last.note(addr(n));
            last.note(addr(n));
            last = last.next();
        }
        assert_eq!(last.number(), 21);
        assert_eq!(first.number(), 1);
        assert_eq!(first.tried().len(), Attempt::MAX_TRIED);
        assert_eq!(first.tried()[0], addr(12));
        assert!(last.is_retry() && !first.is_retry());
    }
}
