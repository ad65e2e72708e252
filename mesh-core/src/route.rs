use crate::{Classify, DefaultClassify};
use http::Request;
use std::{fmt, sync::Arc, time::Duration};

/// Name and policy of the route that a request matched.
///
/// One `Arc`, so it is cheap to clone and to carry in [`http::Extensions`]. Fields are private:
/// a new concern is an addition.
#[derive(Clone)]
pub struct Route(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: Arc<str>,
    timeouts: Timeouts,
    retries: Option<Retries>,
    /// [`DefaultClassify`], if absent.
    classify: Option<Arc<dyn Classify>>,
}

/// The time limits of a route; `None` is no limit.
///
/// A profile's `timeout` is [`head`](Self::head); Gateway API's `timeouts.request` is
/// [`exchange`](Self::exchange).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the response head is here, retries included.
    pub head: Option<Duration>,
    /// Until the response body has ended, retries included.
    pub exchange: Option<Duration>,
    /// The longest gap between two frames of either body.
    pub idle: Option<Duration>,
    /// Until the response head of one attempt is here.
    pub attempt: Option<Duration>,
}

/// Retry policy of a route. Each retry also needs the budget's consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// The most attempts after the first; `None` leaves the cap to budget and deadline.
    pub limit: Option<u32>,
    /// The pause before a further attempt; `None` is no pause.
    pub backoff: Option<Backoff>,
}

impl Retries {
    /// Caps the attempts after the first at `limit`.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Pauses between attempts.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }
}

/// An exponential pause: `min`, doubled for each attempt, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub min: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Route {
    /// Name of the default route in tables, metrics and tap.
    pub const DEFAULT_NAME: &'static str = "[DEFAULT]";

    /// A route that is not retried, has no time limit and counts 5xx as failures.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            timeouts: Timeouts::default(),
            retries: None,
            classify: None,
        }))
    }

    /// Limits the time until the response head, retries included.
    #[must_use]
    pub fn with_timeout(self, head: Duration) -> Self {
        self.edit(|inner| inner.timeouts.head = Some(head))
    }

    /// Sets every time limit at once.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        self.edit(|inner| inner.timeouts = timeouts)
    }

    /// Declares requests of this route safe to send twice.
    #[must_use]
    pub fn with_retries(self) -> Self {
        self.with_retry_policy(Retries::default())
    }

    /// Declares requests of this route safe to send twice, within `retries`.
    #[must_use]
    pub fn with_retry_policy(self, retries: Retries) -> Self {
        self.edit(|inner| inner.retries = Some(retries))
    }

    /// Decides how this route's exchanges count.
    #[must_use]
    pub fn with_classify(self, classify: impl Classify) -> Self {
        self.edit(|inner| inner.classify = Some(Arc::new(classify)))
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The route that `req` carries.
    pub fn of<B>(req: &Request<B>) -> Option<&Self> {
        req.extensions().get::<Self>()
    }

    /// The declared name, or [`DEFAULT_NAME`](Self::DEFAULT_NAME).
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns true for the default route, of requests that match no declared route.
    pub fn is_default(&self) -> bool {
        self.name() == Self::DEFAULT_NAME
    }

    /// The time limits.
    pub fn timeouts(&self) -> &Timeouts {
        &self.0.timeouts
    }

    /// Returns the retry policy if the route is retryable.
    pub fn retries(&self) -> Option<&Retries> {
        self.0.retries.as_ref()
    }

    /// Returns true if requests of this route are declared safe to send twice.
    pub fn is_retryable(&self) -> bool {
        self.0.retries.is_some()
    }

    /// Returns the classifier of exchanges.
    pub fn classify(&self) -> &dyn Classify {
        self.0.classify.as_deref().unwrap_or(&DefaultClassify)
    }

    /// Returns the classifier if it is not [`DefaultClassify`]. Layers keep only this part of a
    /// route until the response, and most routes have none.
    pub fn own_classify(&self) -> Option<&Arc<dyn Classify>> {
        self.0.classify.as_ref()
    }

    /// Returns true if both are the same route of the same profile. Equal names are not enough.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.0.name)
            .field("timeouts", &self.0.timeouts)
            .field("retries", &self.0.retries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_unchanged_by_later_settings() {
        let plain = Route::new("a");
        let timed = plain
            .clone()
            .with_timeout(Duration::from_secs(1))
            .with_retries();

        assert_eq!(plain.timeouts().head, None);
        assert!(!plain.is_retryable());
        assert_eq!(timed.timeouts().head, Some(Duration::from_secs(1)));
        assert!(timed.is_retryable());
        assert!(!plain.ptr_eq(&timed));
        assert!(plain.ptr_eq(&plain.clone()));
    }

    #[test]
    fn a_request_carries_at_most_one_route() {
        let mut req = Request::new(());
        assert!(Route::of(&req).is_none());
        req.extensions_mut().insert(Route::new("a"));
        req.extensions_mut().insert(Route::new("b"));
        assert_eq!(Route::of(&req).map(Route::name), Some("b"));
    }
}
