use crate::{Budget, DefaultInspect, Retry};
use mesh_core::{Backoff, Fault, RetrySkipped, Route};
use std::{fmt, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Hook for failures of a retryable kind: `None` if a retry follows, else the reason against it.
pub type OnRetryable = Arc<dyn Fn(Option<&Route>, Option<RetrySkipped>) + Send + Sync>;

/// Retries failed requests within a [`Budget`].
///
/// See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct RetryLayer<I = DefaultInspect> {
    config: Config,
    inspect: I,
}

/// Settings that a layer and its services share.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) budget: Budget,
    /// Retries idempotent methods, too, and not only retryable routes.
    pub(crate) retries_idempotent: bool,
    /// Retries of a request whose route has no limit of its own.
    pub(crate) max_retries: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) max_pause: Duration,
    pub(crate) max_body: usize,
    pub(crate) max_memory: usize,
    pub(crate) on_retryable: Option<OnRetryable>,
}

impl RetryLayer {
    /// Default of [`max_body`](Self::max_body): 64 KiB of a request body, as in Linkerd.
    pub const MAX_BODY: usize = 64 * 1024;

    /// Default of [`max_memory`](Self::max_memory): 64 MiB for all request bodies that the process
    /// keeps, which is 1,024 bodies of full size.
    pub const MAX_MEMORY: usize = 64 * 1024 * 1024;

    /// Default of [`max_attempts`](Self::max_attempts) of [`per_route`](Self::per_route): 10.
    ///
    /// A request that fails half of the time succeeds within them in 99.9 % of the cases, and none
    /// takes more than 9 of the 100 retries that the budget of an idle service has.
    pub const MAX_ATTEMPTS: u32 = 10;

    /// Default of [`max_pause`](Self::max_pause): 5 s.
    pub const MAX_PAUSE: Duration = Duration::from_secs(5);

    /// Retries idempotent methods and retryable routes: at most three attempts, with pauses of 25 to
    /// 250 ms from the second retry on.
    pub fn new(budget: Budget) -> Self {
        Self {
            config: Config {
                retries_idempotent: true,
                max_retries: Some(2),
                backoff: Some(Backoff {
                    min: Duration::from_millis(25),
                    max: Duration::from_millis(250),
                }),
                ..Config::per_route(budget)
            },
            inspect: DefaultInspect,
        }
    }

    /// Retries only requests with a retryable [`Route`], as often as budget, deadline and route
    /// allow: at most [`MAX_ATTEMPTS`](Self::MAX_ATTEMPTS) attempts unless the route has a limit. There is
    /// no pause unless the route has one.
    pub fn per_route(budget: Budget) -> Self {
        Self {
            config: Config::per_route(budget),
            inspect: DefaultInspect,
        }
    }
}

impl<I> RetryLayer<I> {
    /// Sets how many bytes of a request body are kept. A longer body is sent once.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config.max_body = bytes;
        self
    }

    /// Sets how many bytes of request bodies the whole process keeps. Bodies beyond it are sent
    /// once.
    #[must_use]
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.config.max_memory = bytes;
        self
    }

    /// Sets the largest number of attempts, the first included. A limit of the route wins.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.config.max_retries = Some(attempts.saturating_sub(1));
        self
    }

    /// Sets the pauses from the second retry on. Those of the route win.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = Some(backoff);
        self
    }

    /// Sets the longest pause that `Retry-After` or a gRPC push-back may ask for.
    #[must_use]
    pub fn max_pause(mut self, pause: Duration) -> Self {
        self.config.max_pause = pause;
        self
    }

    /// Sets the function that maps errors to faults. The default is [`DefaultInspect`].
    #[must_use]
    pub fn inspect<E>(
        self,
        inspect: fn(&E) -> Option<Fault>,
    ) -> RetryLayer<fn(&E) -> Option<Fault>> {
        RetryLayer {
            config: self.config,
            inspect,
        }
    }

    /// Sets a hook for each failure of a retryable kind, for metrics.
    #[must_use]
    pub fn on_retryable(mut self, hook: OnRetryable) -> Self {
        self.config.on_retryable = Some(hook);
        self
    }
}

impl Config {
    fn per_route(budget: Budget) -> Self {
        Self {
            budget,
            retries_idempotent: false,
            max_retries: Some(RetryLayer::MAX_ATTEMPTS - 1),
            backoff: None,
            max_pause: RetryLayer::MAX_PAUSE,
            max_body: RetryLayer::MAX_BODY,
            max_memory: RetryLayer::MAX_MEMORY,
            on_retryable: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("budget", &self.budget)
            .field("retries_idempotent", &self.retries_idempotent)
            .field("max_retries", &self.max_retries)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

impl<S, I: Clone> Layer<S> for RetryLayer<I> {
    type Service = Retry<S, I>;

    fn layer(&self, inner: S) -> Retry<S, I> {
        Retry::new(inner, Arc::new(self.config.clone()), self.inspect.clone())
    }
}
