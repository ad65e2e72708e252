//! The limit on requests that an HTTP/2 client cancels.

use super::pulse::Pulse;
use std::time::Duration;
use tokio::time::Instant;

/// Counts the streams that a client resets before they are answered against those that it opens.
///
/// A stream that was reset no longer counts as one that is open, so a client that resets at once
/// may ask for more than all its streams could ("rapid reset", CVE-2023-44487): each costs it a
/// few bytes, and the endpoint a request. One that lets as many finish is not held up, nor one
/// that seldom resets.
///
/// Which of its streams a client resets is not looked at. A reset of one that was being answered
/// ends with a response that is given up; any other is of one that was finished, as gRPC clients
/// reset those that they have not ended themselves, and costs nothing, as long as there can have
/// been so many.
#[derive(Debug)]
pub(super) struct Cancels {
    limit: f64,
    /// It has twice the limit at first: after the first half it is sent GOAWAY, and after the
    /// second it is closed.
    left: f64,
    asked: bool,
    at: Option<Instant>,
    /// Counters of the pulse at the last look.
    resets: u32,
    given_up: u32,
    requests: u32,
    /// Resets, and responses given up, of which it is not known yet that they are one thing.
    unmatched: (u64, u64),
    /// Requests that can have been reset, apart from those that were.
    resettable: u64,
}

/// After so long as many more are allowed as the limit says.
const WINDOW: Duration = Duration::from_secs(10);

/// Decision on a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stay,
    /// Send GOAWAY and finish the open streams; the client may open another connection.
    GoAway,
    /// Close at once, open streams included.
    Close,
}

impl Cancels {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: limit.into(),
            left: 2.0 * f64::from(limit),
            asked: false,
            at: None,
            resets: 0,
            given_up: 0,
            requests: 0,
            unmatched: (0, 0),
            resettable: 0,
        }
    }

    /// The verdict on what has happened since; that it has to go is said once.
    pub(super) fn judge(&mut self, pulse: &Pulse) -> Verdict {
        let (resets, given_up) = (pulse.resets(), pulse.given_up());
        if (resets, given_up) == (self.resets, self.given_up) {
            return Verdict::Stay;
        }
        let opened = pulse.requests().wrapping_sub(self.requests);
        self.requests = self.requests.wrapping_add(opened);
        self.resettable += u64::from(opened);
        self.unmatched.0 += u64::from(resets.wrapping_sub(self.resets));
        self.unmatched.1 += u64::from(given_up.wrapping_sub(self.given_up));
        (self.resets, self.given_up) = (resets, given_up);
        let new = self.cancelled();

        let now = Instant::now();
        let since = now.saturating_duration_since(self.at.replace(now).unwrap_or(now));
        // Each stream that is opened makes good for one that is reset.
        let earned = self.limit * since.as_secs_f64() / WINDOW.as_secs_f64() + f64::from(opened);
        let spent = 2.0 * new as f64;
        self.left = (self.left + earned - spent).min(2.0 * self.limit);
        if self.left <= 0.0 {
            return Verdict::Close;
        }
        if self.left <= self.limit && !self.asked {
            self.asked = true;
            return Verdict::GoAway;
        }
        Verdict::Stay
    }

    /// Resets that have not been counted yet, of streams that were not finished.
    fn cancelled(&mut self) -> u64 {
        let (resets, given_up) = &mut self.unmatched;
        let matched = (*resets).min(*given_up).min(self.resettable);
        *resets -= matched;
        *given_up -= matched;
        self.resettable -= matched;
        // Of nothing.
        let more = resets.saturating_sub(self.resettable);
        *resets -= more;
        matched + more
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
            (0..resets.min(requests)).for_each(|_| pulse.give_up());
            match cancels.judge(pulse) {
                Verdict::Stay => tokio::time::sleep(pause).await,
                verdict => return (verdict, round),
            }
        }
        (Verdict::Stay, 0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_resets_everything_is_sent_goaway_and_then_closed() {
        let (mut cancels, pulse) = (Cancels::new(100), Pulse::default());
        let mut next = async |requests| {
            let pause = Duration::from_millis(1);
            first(&mut cancels, &pulse, requests, 1, pause).await
        };
        // One in a hundred is earned by the time that passes.
        assert_eq!(next(1).await, (Verdict::GoAway, 101));
        assert_eq!(next(1).await, (Verdict::Close, 101));
        // Resets of what is no request count twice: those are reset, and not opened.
        assert_eq!(next(0).await, (Verdict::Close, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_resets_what_is_finished_may_stay_if_there_was_so_much() {
        let (mut cancels, pulse) = (Cancels::new(100), Pulse::default());
        for _ in 0..10_000 {
            pulse.begin();
            pulse.end();
            pulse.reset();
            assert_eq!(cancels.judge(&pulse), Verdict::Stay);
        }
        let more = first(&mut cancels, &pulse, 0, 1, Duration::ZERO).await;
        assert_eq!(more, (Verdict::GoAway, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_given_up_later_counts_with_its_reset() {
        let (mut cancels, pulse) = (Cancels::new(100), Pulse::default());
        let mut verdict = Verdict::Stay;
        for _ in 0..99 {
            assert_eq!(verdict, Verdict::Stay);
            pulse.begin();
            pulse.reset();
            cancels.judge(&pulse);
            pulse.give_up();
            verdict = cancels.judge(&pulse);
        }
        assert_eq!(verdict, Verdict::GoAway);
    }

    #[tokio::test(start_paused = true)]
    async fn responses_that_end_without_a_reset_cost_nothing() {
        let (mut cancels, pulse) = (Cancels::new(100), Pulse::default());
        for _ in 0..10_000 {
            pulse.begin();
            pulse.give_up();
            assert_eq!(cancels.judge(&pulse), Verdict::Stay);
        }
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
