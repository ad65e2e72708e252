//! Time after which an endpoint closes an unused connection, learned from the closes that are seen.
//!
//! Many servers do not announce it (`Keep-Alive: timeout`): uvicorn does not, whose limit is
//! 5 s unless it is told another. A request that is sent just then crosses the close, and one that may not be sent again is
//! lost. So connections are used again only up to three quarters of the age at which the last one
//! was closed. One older connection is kept to look on: its close confirms or corrects the limit,
//! and if it lives as long as connections are kept at all, there is no limit any more. Thus a restart, which
//! closes connections of any age, costs new connections for a few seconds.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Used where there is no limit.
const NONE: u64 = u64::MAX;

/// The learned limit of one endpoint, in microseconds.
#[derive(Debug)]
pub(crate) struct IdleLimit(AtomicU64);

impl IdleLimit {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(NONE))
    }

    /// The age from which on an unused connection is not used again, if there is one.
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            NONE => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Learns that the endpoint closed a connection that was unused for `age`.
    pub(crate) fn closed(&self, age: Duration) {
        let micros = u64::try_from(age.as_micros()).unwrap_or(NONE);
        self.0.store(micros - micros / 4, Relaxed);
    }

    /// Learns that the endpoint closes no connection within the time that they are kept.
    pub(crate) fn survived(&self) {
        self.0.store(NONE, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Duration = Duration::from_secs(3);
    /// A request that is this close to the close of its connection crosses it.
    const CROSSING: Duration = Duration::from_millis(5);

    /// An endpoint that closes unused connections after `closes`, called at the given intervals: the number of
    /// requests that crossed a close, and of connections.
    fn calls(
        limit: &IdleLimit,
        closes: Duration,
        gaps: impl Iterator<Item = Duration>,
    ) -> [u32; 2] {
        let (mut crossed, mut opened) = (0, 1);
        for gap in gaps {
            let is_over = limit.get().is_some_and(|limit| gap >= limit);
            if is_over {
                opened += 1;
                // It stays to look on; both close before they are as old as is kept at most.
                match closes < KEPT {
                    true => limit.closed(closes),
                    false => limit.survived(),
                }
            } else if closes.abs_diff(gap) < CROSSING {
                crossed += 1;
                opened += 1;
                limit.closed(gap);
            } else if gap > closes {
                // Seen by who watches unused connections.
                limit.closed(closes);
                opened += 1;
            }
        }
        [crossed, opened]
    }

    /// `n` intervals around one second.
    fn about_a_second(n: u32) -> impl Iterator<Item = Duration> {
        (0..n).map(|n| Duration::from_millis(u64::from(950 + n * 37 % 101)))
    }

    #[test]
    fn at_most_one_request_crosses_a_close_that_is_not_announced() {
        let second = Duration::from_secs(1);
        let limit = IdleLimit::new();
        // Five minutes.
        let [crossed, _] = calls(&limit, second, about_a_second(300));
        assert!(crossed <= 1, "{crossed}");
        let learned = limit.get().unwrap();
        assert!((700..=800).contains(&learned.as_millis()), "{learned:?}");
        // Below the limit, connections are used again.
        let half = std::iter::repeat_n(second / 2, 100);
        assert_eq!(calls(&limit, second, half), [0, 1]);
    }

    #[test]
    fn an_endpoint_that_changes_its_limit_or_restarts_is_learned_anew() {
        let limit = IdleLimit::new();
        // A restart closes what was hardly used.
        limit.closed(Duration::from_millis(2));
        let [crossed, opened] = calls(&limit, 2 * KEPT, about_a_second(300));
        assert_eq!((crossed, opened, limit.get()), (0, 2, None));
        calls(&limit, Duration::from_secs(1), about_a_second(10));
        assert!(limit.get().is_some());
        calls(&limit, Duration::from_millis(2800), about_a_second(10));
        assert_eq!(limit.get(), Some(Duration::from_millis(2100)));
    }
}
