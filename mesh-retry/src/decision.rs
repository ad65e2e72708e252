//! May this failure be retried? The one place where that is decided.

use crate::{
    backoff::{Ask, pause},
    future::Exchange,
};
use http_body::Body;
use mesh_core::{RetrySkipped, Route};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) enum Verdict {
    /// Try again after this pause.
    Retry(Duration),
    /// Do not, for this reason.
    Skip(RetrySkipped),
}

impl<S, I, B, RB: Body> Exchange<S, I, B, RB> {
    /// Judges a failure that is retryable as such, and tells the hook. The budget is asked
    /// last: what it grants is sent.
    pub(crate) fn verdict(&self, ask: Ask) -> Verdict {
        let verdict = self.judge(ask);
        if let Some(hook) = &self.config.on_retryable {
            let skipped = match verdict {
                Verdict::Retry(_) => None,
                Verdict::Skip(reason) => Some(reason),
            };
            hook(self.route.as_ref(), skipped);
        }
        verdict
    }

    fn judge(&self, ask: Ask) -> Verdict {
        if ask == Ask::Never {
            return Verdict::Skip(RetrySkipped::Refused);
        }
        if self.retries_left == Some(0) {
            return Verdict::Skip(RetrySkipped::Limit);
        }
        if let Some(reason) = self.original.skipped() {
            return Verdict::Skip(reason);
        }
        let now = Instant::now();
        let pause = match ask {
            Ask::Wait(asked) => asked.min(self.config.max_pause),
            _ => self.pause(),
        };
        // Nobody would be there to see how it went.
        let limit = self.route.as_ref().and_then(|route| route.timeouts().head);
        if limit.is_some_and(|limit| now.duration_since(self.started) + pause >= limit) {
            return Verdict::Skip(RetrySkipped::Limit);
        }
        if !self.config.budget.withdraw(now.into_std()) {
            return Verdict::Skip(RetrySkipped::NoBudget);
        }
        Verdict::Retry(pause)
    }

    fn pause(&self) -> Duration {
        let own = self.route.as_ref().and_then(Route::retries);
        own.and_then(|retries| retries.backoff)
            .or(self.config.backoff)
            .map_or(Duration::ZERO, |backoff| {
                pause(backoff, self.attempt.number(), fastrand::f64())
            })
    }
}
