//! Decides if a failed attempt is retried.

use crate::{
    backoff::{ServerHint, pause},
    future::Exchange,
};
use http_body::Body;
use mesh_core::{RetrySkipped, Route};
use std::time::Duration;
use tokio::time::Instant;

/// The next step after a failed attempt.
pub(crate) enum Decision {
    /// Send another attempt after this pause.
    Retry(Duration),
    /// Return the failure; the reason goes into the response.
    Skip(RetrySkipped),
}

impl<S, I, B, RB: Body> Exchange<S, I, B, RB> {
    /// Decides about a failure of a retryable kind, and calls the layer's hook with the result.
    pub(crate) fn retry_decision(&self, hint: ServerHint) -> Decision {
        let decision = self.evaluate(hint);
        if let Some(hook) = &self.config.on_retryable {
            let skipped = match decision {
                Decision::Retry(_) => None,
                Decision::Skip(reason) => Some(reason),
            };
            hook(self.route.as_ref(), skipped);
        }
        decision
    }

    /// Applies all conditions. The budget is last, as each withdrawal counts as a retry.
    fn evaluate(&self, hint: ServerHint) -> Decision {
        if hint == ServerHint::Never {
            return Decision::Skip(RetrySkipped::Refused);
        }
        if self.retries_left == Some(0) {
            return Decision::Skip(RetrySkipped::Limit);
        }
        if let Some(reason) = self.original.skipped() {
            return Decision::Skip(reason);
        }
        let now = Instant::now();
        let pause = match hint {
            ServerHint::Wait(asked) => asked.min(self.config.max_pause),
            _ => self.pause(),
        };
        // The caller's deadline would pass before the response.
        let limit = self.route.as_ref().and_then(|route| route.timeouts().head);
        if limit.is_some_and(|limit| now.duration_since(self.started) + pause >= limit) {
            return Decision::Skip(RetrySkipped::Limit);
        }
        if !self.config.budget.withdraw(now.into_std()) {
            return Decision::Skip(RetrySkipped::NoBudget);
        }
        Decision::Retry(pause)
    }

    /// Returns the pause of the route, or else of the layer.
    fn pause(&self) -> Duration {
        let own = self.route.as_ref().and_then(Route::retries);
        own.and_then(|retries| retries.backoff)
            .or(self.config.backoff)
            .map_or(Duration::ZERO, |backoff| {
                pause(backoff, self.attempt.number(), fastrand::f64())
            })
    }
}
