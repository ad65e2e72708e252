use super::pulse::{Phase, Pulse};
use crate::{LimitNames, Limits};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Notices when a connection has waited for too long.
///
/// It costs a request nothing: one timer per connection runs on while requests come and go, and
/// only when it rings is it asked whether anything has happened since. A wait is therefore cut
/// after one to two times its limit, the first one of a connection exactly.
pub(super) struct Watchdog {
    // Not all limits: every connection has a watchdog.
    idle: Duration,
    head: Duration,
    stall: Duration,
    http2: bool,
    timer: Option<Timer>,
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// The wait that it was set for; `None` after it fired.
    set: Option<(Phase, u32)>,
}

impl Watchdog {
    pub(super) fn new(limits: &Limits, http2: bool) -> Self {
        Self {
            idle: limits.idle,
            head: limits.head,
            stall: limits.stall,
            http2,
            timer: None,
        }
    }

    /// Returns a wait that has lasted too long. Call it whenever the connection is pending, always
    /// by the same task: a timer that runs already is not given another waker.
    pub(super) fn poll(&mut self, pulse: &Pulse, cx: &mut Context<'_>) -> Option<Phase> {
        loop {
            let now = pulse.phase(self.http2);
            let limit = self.limit(now.0);
            if let Some(Timer { sleep, set }) = &mut self.timer
                && let Some(then) = *set
            {
                if sleep.is_elapsed() {
                    *set = None;
                    if then == now {
                        return Some(now.0);
                    }
                } else if limit.is_none_or(|limit| Some(limit) >= self.limit(then.0)) {
                    // It rings in time, and its waker is that of this task.
                    return None;
                }
            }
            let limit = limit?;
            // For ever, where the sum is none.
            let at = Instant::now().checked_add(limit)?;
            let timer = self.timer.get_or_insert_with(|| Timer {
                sleep: Box::pin(sleep_until(at)),
                set: None,
            });
            timer.set = Some(now);
            timer.sleep.as_mut().reset(at);
            match timer.sleep.as_mut().poll(cx) {
                Poll::Pending => return None,
                Poll::Ready(()) => {}
            }
        }
    }

    fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Idle => Some(self.idle),
            Phase::Head => Some(self.head),
            Phase::Stalled => Some(self.stall),
            Phase::Busy => None,
        }
    }
}

impl Phase {
    /// The name of the limit that passed.
    pub(super) fn limit_name(self, names: &LimitNames) -> &'static str {
        match self {
            Self::Idle | Self::Busy => names.idle,
            Self::Head => names.head,
            Self::Stalled => names.stall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::future::poll_fn;

    const SECOND: Duration = Duration::from_secs(1);

    fn watchdog(http2: bool) -> Watchdog {
        let limits = Limits {
            head: 10 * SECOND,
            idle: 100 * SECOND,
            stall: 20 * SECOND,
            ..Limits::default()
        };
        Watchdog::new(&limits, http2)
    }

    /// The wait that passes its limit, and after how many seconds.
    async fn passes(watchdog: &mut Watchdog, pulse: &Pulse) -> (Phase, u64) {
        let started = Instant::now();
        let phase = poll_fn(|cx| match watchdog.poll(pulse, cx) {
            Some(phase) => Poll::Ready(phase),
            None => Poll::Pending,
        })
        .await;
        (phase, started.elapsed().as_secs())
    }

    async fn is_quiet(watchdog: &mut Watchdog, pulse: &Pulse) -> bool {
        poll_fn(|cx| Poll::Ready(watchdog.poll(pulse, cx).is_none())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_limit_and_an_idle_connection_a_longer_one() {
        let (mut dog, pulse) = (watchdog(false), Pulse::default());
        assert!(is_quiet(&mut dog, &pulse).await);
        tokio::time::sleep(50 * SECOND).await;
        // The timer of the idle time would ring too late for this.
        pulse.read();
        assert_eq!(passes(&mut dog, &pulse).await, (Phase::Head, 10));
        pulse.begin();
        pulse.end();
        assert_eq!(passes(&mut dog, &pulse).await, (Phase::Idle, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_is_let_be_and_a_used_one_is_not_idle() {
        let (mut dog, pulse) = (watchdog(false), Pulse::default());
        pulse.begin();
        let busy = tokio::time::timeout(1000 * SECOND, passes(&mut dog, &pulse)).await;
        assert!(busy.is_err(), "a long poll was cut");
        pulse.end();
        assert!(is_quiet(&mut dog, &pulse).await);
        tokio::time::sleep(99 * SECOND).await;
        pulse.read();
        pulse.begin();
        pulse.end();
        // Twice the limit at most.
        assert_eq!(passes(&mut dog, &pulse).await, (Phase::Idle, 101));
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_now_and_then_is_progress_for_a_reader_and_not_for_a_head() {
        for (http2, progress) in [(false, true), (false, false)] {
            let (mut dog, pulse) = (watchdog(http2), Pulse::default());
            match progress {
                true => {
                    pulse.begin();
                    pulse.wrote(true);
                }
                false => pulse.read(),
            }
            for _ in 0..9 {
                assert!(is_quiet(&mut dog, &pulse).await);
                tokio::time::sleep(SECOND).await;
                match progress {
                    true => {
                        pulse.wrote(false);
                        pulse.wrote(true);
                    }
                    false => pulse.read(),
                }
            }
            let expected = match progress {
                true => (Phase::Stalled, 11 + 20),
                false => (Phase::Head, 1),
            };
            assert_eq!(passes(&mut dog, &pulse).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_stays_shut_is_a_stall() {
        let (mut dog, pulse) = (watchdog(true), Pulse::default());
        pulse.begin();
        pulse.frame_taken();
        assert_eq!(passes(&mut dog, &pulse).await, (Phase::Stalled, 20));
        pulse.asked_for_more();
        let waiting = passes(&mut dog, &pulse).now_or_never();
        assert_eq!(waiting, None);
        assert_eq!(pulse.phase(true).0, Phase::Busy);
    }
}
