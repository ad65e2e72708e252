//! How many requests a client of HTTP/2 may take back.

use super::pulse::Pulse;
use std::time::Duration;
use tokio::time::Instant;

/// Counts the streams that a client resets against those that it opens.
///
/// A stream that was reset no longer counts as one that is open, so a client that resets at once
/// may ask for more than all its streams could ("rapid reset", CVE-2023-44487): each costs it a
/// few bytes, and the endpoint a request. One that lets as many finish is not held up, nor one
/// that seldom resets.
#[derive(Debug)]
pub(super) struct Cancels {
    limit: f64,
    /// It has twice the limit at first: after the first half it is asked to go, and after the
    /// second it is shown the door.
    left: f64,
    asked: bool,
    at: Option<Instant>,
    resets: u32,
    requests: u32,
}

/// After so long as many more are allowed as the limit says.
const WINDOW: Duration = Duration::from_secs(10);

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stay,
    /// What it has asked for is finished; it may ask for more on another connection.
    Go,
    /// Nothing is finished.
    Out,
}

impl Cancels {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: limit.into(),
            left: 2.0 * f64::from(limit),
            asked: false,
            at: None,
            resets: 0,
            requests: 0,
        }
    }

    /// The verdict on what has happened since; that it has to go is said once.
    pub(super) fn judge(&mut self, pulse: &Pulse) -> Verdict {
        let resets = pulse.resets();
        let new = resets.wrapping_sub(self.resets);
        if new == 0 {
            return Verdict::Stay;
        }
        self.resets = resets;
        let now = Instant::now();
        let since = now.saturating_duration_since(self.at.replace(now).unwrap_or(now));
        let opened = pulse.requests().wrapping_sub(self.requests);
        self.requests = self.requests.wrapping_add(opened);
        // Each stream that is opened makes good for one that is reset.
        let earned = self.limit * since.as_secs_f64() / WINDOW.as_secs_f64() + f64::from(opened);
        let spent = 2.0 * f64::from(new);
        self.left = (self.left + earned - spent).min(2.0 * self.limit);
        if self.left <= 0.0 {
            return Verdict::Out;
        }
        if self.left <= self.limit && !self.asked {
            self.asked = true;
            return Verdict::Go;
        }
        Verdict::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first verdict but `Stay`, and after how many rounds; of `requests` each `resets` are
    /// reset, and then `pause` passes.
    async fn first(
        cancels: &mut Cancels,
        pulse: &Pulse,
        requests: u32,
        resets: u32,
        pause: Duration,
    ) -> (Verdict, u32) {
        for round in 1..10_000 {
            (0..requests).for_each(|_| pulse.begin());
            (0..resets).for_each(|_| pulse.reset());
            match cancels.judge(pulse) {
                Verdict::Stay => tokio::time::sleep(pause).await,
                verdict => return (verdict, round),
            }
        }
        (Verdict::Stay, 0)
    }

    #[tokio::test(start_paused = true)]
    async fn who_resets_everything_is_asked_to_go_and_then_shown_the_door() {
        let (mut cancels, pulse) = (Cancels::new(100), Pulse::default());
        let mut next = async |requests| {
            let pause = Duration::from_millis(1);
            first(&mut cancels, &pulse, requests, 1, pause).await
        };
        // One in a hundred is earned by the time that passes.
        assert_eq!(next(1).await, (Verdict::Go, 101));
        assert_eq!(next(1).await, (Verdict::Out, 101));
        // Resets of what is no request count twice: those are reset, and not opened.
        assert_eq!(next(0).await, (Verdict::Out, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_resets_half_or_seldom_may_stay() {
        for (requests, resets, pause) in [
            (2, 1, Duration::ZERO),
            (100, 50, Duration::ZERO),
            (1, 1, Duration::from_millis(100)),
        ] {
            let (mut cancels, pulse) = (Cancels::new(100), Pulse::default());
            let verdict = first(&mut cancels, &pulse, requests, resets, pause).await;
            assert_eq!(verdict, (Verdict::Stay, 0), "{requests} {resets}");
        }
    }
}
