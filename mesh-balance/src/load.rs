//! Computes the cost of an endpoint, in pure functions of time.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Nanoseconds since the balance was made.
pub(crate) type Nanos = u64;

/// Time in which latency and failures decay to a third, 10 s.
const TAU_MS: f32 = 10_000.0;

/// Latency of endpoints before the first sample of any of them.
pub(crate) const START: Duration = Duration::from_millis(30);

/// Factor by which the latency of a busy endpoint decays more slowly.
/// An endpoint that does not answer must not look faster each second. But an endpoint with a stream
/// that is open for hours, or with one answer that never comes, must not be avoided for as long.
const BUSY: f32 = 3.0;

/// No latency: there has been no sample.
const UNKNOWN: f32 = 0.0;

/// Latencies below this do not tell endpoints apart: they are the scheduler's.
const FLOOR: f32 = 0.001;

/// Of how many requests one is timed where there is no choice to be made.
const SAMPLED: u32 = 16;

/// Weight of one outcome in the failure ratio.
const ALPHA: f32 = 0.1;

/// Cost of a failure ratio of one half, in seconds.
const PENALTY: f32 = 1.0;

/// A failure ratio that may as well be none.
const NEGLIGIBLE: f32 = 1e-4;

/// Latency and failure ratio of an endpoint, and the cost of choosing it.
///
/// `cost = (latency + 1 s x odds^2) x (in flight + 1)`, where latency is a peak-EWMA (up to any
/// higher sample at once, down with a time constant of 10 s) and odds are those of failing, an
/// EWMA over outcomes. Squared, they forgive a failure in a hundred (0.1 ms) and do not forgive
/// ten in a row (3 s), which is more than any endpoint that works can cost: one that fails fast
/// does not win by being fast.
///
/// Linkerd starts every endpoint at 30 ms and lets that decay like a sample. Here the first
/// sample counts alone, and until then an endpoint is taken to be as fast as whichever it is
/// compared with: else those sampled first would starve the others for half a minute.
#[derive(Debug)]
pub(crate) struct Load {
    /// Seconds, or [`UNKNOWN`].
    latency: Decaying,
    failures: Decaying,
    /// Requests since the last sample, of an endpoint that is sampled now and then.
    skipped: AtomicU32,
}

impl Load {
    /// The load of an endpoint of which nothing is known.
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            latency: Decaying::new(now, UNKNOWN),
            failures: Decaying::new(now, 0.0),
            skipped: AtomicU32::new(0),
        }
    }

    /// Returns the cost of choosing this endpoint now, with a latency of `latency` seconds and
    /// `in_flight` requests.
    pub(crate) fn cost(&self, now: Nanos, latency: f32, in_flight: usize) -> f32 {
        let failures = self.failure_ratio(now);
        let odds = if failures < NEGLIGIBLE {
            0.0
        } else {
            failures / (1.0 - failures)
        };
        (latency.max(FLOOR) + PENALTY * odds * odds) * (in_flight as f32 + 1.0)
    }

    /// Seconds, once there has been a sample.
    pub(crate) fn latency(&self, now: Nanos, in_flight: usize) -> Option<f32> {
        let slower = if in_flight == 0 { 1.0 } else { BUSY };
        let latency = self.latency.at(now, slower);
        (latency > UNKNOWN).then_some(latency)
    }

    pub(crate) fn failure_ratio(&self, now: Nanos) -> f32 {
        self.failures.at(now, 1.0).min(0.999)
    }

    /// Returns true if a sampled endpoint is due: until its first sample, then once in [`SAMPLED`]
    /// requests.
    pub(crate) fn is_sample_due(&self) -> bool {
        if self.latency.stored() <= UNKNOWN {
            return true;
        }
        // Two threads may count one request: it is cheaper than to agree.
        let skipped = self.skipped.load(Relaxed) + 1;
        self.skipped.store(skipped % SAMPLED, Relaxed);
        skipped == SAMPLED
    }

    /// Learns that a good answer took `seconds`.
    pub(crate) fn answered(&self, now: Nanos, seconds: f32) {
        let seconds = seconds.max(FLOOR);
        self.latency.update(now, |latency, kept| {
            if seconds >= latency {
                seconds // the first sample, or a peak
            } else {
                latency * kept + seconds * (1.0 - kept)
            }
        });
    }

    /// Learns that after `seconds` there was no good answer: at least as slow as that.
    ///
    /// A failure that came fast, or a caller that left early, says nothing of being fast.
    pub(crate) fn unanswered(&self, now: Nanos, seconds: f32, in_flight: usize) {
        let seconds = seconds.max(FLOOR);
        let believed = self.latency(now, in_flight).unwrap_or(START.as_secs_f32());
        if seconds > believed {
            self.latency.update(now, |_, _| seconds);
        }
    }

    /// Returns true if a success would change the failure ratio.
    pub(crate) fn has_failures(&self) -> bool {
        self.failures.stored() >= NEGLIGIBLE
    }

    /// Counts an outcome.
    pub(crate) fn outcome(&self, now: Nanos, failed: bool) {
        let target = f32::from(u8::from(failed));
        self.failures.update(now, |ratio, kept| {
            let ratio = ratio * kept;
            ratio + ALPHA * (target - ratio)
        });
    }

    /// Forgets everything but what is in flight: it has recovered, and is another one now.
    pub(crate) fn forgive(&self, now: Nanos) {
        self.failures.update(now, |_, _| 0.0);
        self.latency.update(now, |_, _| UNKNOWN);
    }
}

/// A number that decays, with the time it was written: 32 bits each, so that both change at
/// once without a lock.
#[derive(Debug)]
struct Decaying(AtomicU64);

impl Decaying {
    fn new(now: Nanos, value: f32) -> Self {
        Self(AtomicU64::new(pack(now, value)))
    }

    fn stored(&self) -> f32 {
        unpack(self.0.load(Relaxed)).0
    }

    /// Returns the decayed value at `now`, with a decay `slower` times as long as usual.
    fn at(&self, now: Nanos, slower: f32) -> f32 {
        let (value, written) = unpack(self.0.load(Relaxed));
        if value == 0.0 {
            return 0.0; // no failures, most of the time: spares an exponential
        }
        // After hours this would be zero, and a latency of zero is none.
        (value * kept(written, now, slower)).max(f32::MIN_POSITIVE)
    }

    /// Replaces it by a function of what was stored and of how much of it is left.
    fn update(&self, now: Nanos, change: impl Fn(f32, f32) -> f32) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (value, written) = unpack(word);
            let changed = pack(now, change(value, kept(written, now, 1.0)));
            // Many samples in one millisecond change nothing: spares the others a cache miss.
            (changed != word).then_some(changed)
        });
    }
}

/// Milliseconds wrap after 49 days. That is safe as long as only differences are used, and
/// those beyond half the range, which a thread with an older clock reading sees, are none.
fn kept(written: u32, now: Nanos, slower: f32) -> f32 {
    let elapsed = millis(now).wrapping_sub(written);
    if elapsed == 0 || elapsed > u32::MAX / 2 {
        return 1.0;
    }
    (-(elapsed as f32) / (TAU_MS * slower)).exp()
}

fn millis(now: Nanos) -> u32 {
    (now / 1_000_000) as u32
}

fn pack(now: Nanos, value: f32) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(millis(now))
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Nanos = 1_000_000;
    const SECOND: Nanos = 1_000 * MS;

    fn cost(load: &Load, now: Nanos, in_flight: usize) -> f32 {
        let latency = load.latency(now, in_flight).unwrap_or(START.as_secs_f32());
        load.cost(now, latency, in_flight)
    }

    fn latency(load: &Load, now: Nanos) -> f32 {
        load.latency(now, 0).unwrap()
    }

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() <= 0.001 * b.abs().max(0.001)
    }

    #[test]
    fn the_first_sample_counts_alone_and_later_ones_by_their_time() {
        let load = Load::new(0);
        load.answered(0, 0.005);
        assert!(close(latency(&load, 0), 0.005), "down at once");
        load.answered(0, 0.1);
        assert!(close(latency(&load, 0), 0.1), "up at once");
        load.answered(0, 0.01);
        assert!(close(latency(&load, 0), 0.1), "down only with time");
        load.answered(10 * SECOND, 0.01);
        let expected = 0.1 * (-1f32).exp() + 0.01 * (1.0 - (-1f32).exp());
        assert!(close(latency(&load, 10 * SECOND), expected));
    }

    #[test]
    fn an_idle_endpoint_looks_better_with_time_and_a_busy_one_too_but_slowly() {
        let load = Load::new(0);
        load.answered(0, 1.0);
        assert!(close(cost(&load, 10 * SECOND, 0), (-1f32).exp()));
        assert!(cost(&load, 10 * SECOND, 1) > 1.4);
        assert!(close(cost(&load, 30 * SECOND, 1), 2.0 * (-1f32).exp()));
        assert!(close(cost(&load, 1_000 * SECOND, 0), FLOOR));
    }

    #[test]
    fn an_endpoint_idle_for_hours_is_still_known_to_be_fast() {
        let load = Load::new(0);
        load.answered(0, 20.0);
        let hours = 10 * 3_600 * SECOND;
        assert!(load.latency(hours, 0).is_some());
        assert!(close(cost(&load, hours, 0), FLOOR));
    }

    #[test]
    fn failing_fast_does_not_make_an_endpoint_cheap() {
        let (good, bad) = (Load::new(0), Load::new(0));
        good.answered(0, 0.2);
        for n in 0..10 {
            bad.unanswered(n * MS, 0.000_1, 0);
            bad.outcome(n * MS, true);
        }
        assert!(cost(&bad, 10 * MS, 0) > cost(&good, 10 * MS, 9));
    }

    #[test]
    fn a_failure_in_a_hundred_costs_next_to_nothing_for_long() {
        let load = Load::new(0);
        load.answered(0, 0.02);
        load.outcome(0, true);
        assert!(cost(&load, 0, 0) < 0.02 + 0.013);
        for _ in 0..20 {
            load.outcome(0, false);
        }
        assert!(cost(&load, 0, 0) < 0.02 + 0.000_5);
    }

    #[test]
    fn a_caller_that_left_says_that_it_took_at_least_so_long() {
        let load = Load::new(0);
        load.answered(0, 0.01);
        load.unanswered(0, 0.005, 0);
        assert!(close(latency(&load, 0), 0.01));
        load.unanswered(0, 0.3, 0);
        assert!(close(latency(&load, 0), 0.3));
    }

    proptest! {
        #[test]
        fn a_cost_is_finite_positive_and_grows_with_the_load(
            events in prop::collection::vec((0u64..100 * SECOND, 0f32..100.0, 0u8..4), 0..50),
        ) {
            let load = Load::new(0);
            let mut now = 0;
            for (pause, seconds, what) in events {
                now += pause;
                match what {
                    0 => load.answered(now, seconds),
                    1 => load.unanswered(now, seconds, 0),
                    2 => load.outcome(now, true),
                    _ => load.outcome(now, false),
                }
                let before = cost(&load, now, 0);
                prop_assert!(before.is_finite() && before >= FLOOR);
                prop_assert!(cost(&load, now, 1) > before * 1.5);
                prop_assert!(cost(&load, now + 60 * SECOND, 0) <= before);
                prop_assert!((0.0..1.0).contains(&load.failure_ratio(now)));
            }
        }
    }
}
