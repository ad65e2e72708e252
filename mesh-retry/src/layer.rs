use crate::{Budget, DefaultInspect, Retry};
use mesh_core::{Backoff, Fault, RetrySkipped, Route};
use std::{fmt, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Called for each failure that could have been retried: with `None` if it is, else with the
/// reason why it is not.
pub type OnRetryable = Arc<dyn Fn(Option<&Route>, Option<RetrySkipped>) + Send + Sync>;

/// Tries failed requests again, as far as a [`Budget`] allows.
///
/// See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct RetryLayer<I = DefaultInspect> {
    config: Config,
    inspect: I,
}

/// What a layer and its services share.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) budget: Budget,
    /// Whether an idempotent method is enough, or only a route that says so.
    pub(crate) methods: bool,
    /// Retries of a request whose route names no limit.
    pub(crate) max_retries: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) max_pause: Duration,
    pub(crate) max_body: usize,
    pub(crate) max_memory: usize,
    pub(crate) on_retryable: Option<OnRetryable>,
}

impl RetryLayer {
    /// How much of a request body is kept, unless [`max_body`](Self::max_body) says otherwise:
    /// 64 KiB, as in Linkerd.
    pub const MAX_BODY: usize = 64 * 1024;

    /// How much all request bodies of the process may take together: 64 MiB, a thousand
    /// bodies of full size.
    pub const MAX_MEMORY: usize = 64 * 1024 * 1024;

    /// The longest pause that a server may ask for.
    pub const MAX_PAUSE: Duration = Duration::from_secs(5);

    /// Retries idempotent methods and routes that are declared retryable: three tries at most,
    /// with a pause of 25 to 250 ms from the second retry on.
    pub fn new(budget: Budget) -> Self {
        Self {
            config: Config {
                methods: true,
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

    /// Retries only requests whose [`Route`] is declared retryable, as often as budget,
    /// deadline and the route allow, without a pause unless the route has one.
    pub fn per_route(budget: Budget) -> Self {
        Self {
            config: Config::per_route(budget),
            inspect: DefaultInspect,
        }
    }
}

impl<I> RetryLayer<I> {
    /// Keeps at most `bytes` of a request body; a longer one is sent once.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config.max_body = bytes;
        self
    }

    /// Keeps no more of request bodies while all of the process's together take `bytes`.
    #[must_use]
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.config.max_memory = bytes;
        self
    }

    /// Sends a request at most this often in all, unless its route has a limit of its own.
    #[must_use]
    pub fn max_tries(mut self, tries: u32) -> Self {
        self.config.max_retries = Some(tries.saturating_sub(1));
        self
    }

    /// Pauses from the second retry on, unless the route has a pause of its own.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = Some(backoff);
        self
    }

    /// Waits no longer than this when `Retry-After` or a gRPC push-back asks for a pause.
    #[must_use]
    pub fn max_pause(mut self, pause: Duration) -> Self {
        self.config.max_pause = pause;
        self
    }

    /// Says what an error of the inner service means; without it, [`DefaultInspect`] does.
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

    /// Calls `hook` for each failure that could have been retried; for metrics.
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
            methods: false,
            max_retries: None,
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
            .field("methods", &self.methods)
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
