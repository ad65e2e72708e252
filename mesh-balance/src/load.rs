//! What an endpoint costs, as pure functions of time.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Nanoseconds since the balance was made.
pub(crate) type Nanos = u64;

/// How fast latency and failures are forgotten: to a third in ten seconds.
const TAU_MS: f32 = 10_000.0;

/// What is believed of the latency of an endpoint before the first sample of any.
pub(crate) const START: Duration = Duration::from_millis(30);

/// Latencies below this do not tell endpoints apart: they are the scheduler's.
const FLOOR: f32 = 0.001;

/// What one outcome weighs in the failure ratio.
const ALPHA: f32 = 0.1;

/// What even odds of failing cost, in seconds.
const PENALTY: f32 = 1.0;

/// A failure ratio that may as well be none.
const NEGLIGIBLE: f32 = 1e-4;

/// How busy, slow and broken an endpoint is.
///
/// `cost = (latency + 1 s x odds^2) x (in flight + 1)`, where latency is a peak-EWMA (up to any
/// higher sample at once, down with a time constant of 10 s) and odds are those of failing, an
/// EWMA over outcomes. Squared, they forgive a failure in a hundred (0.1 ms) and do not forgive
/// ten in a row (3 s), which is more than any endpoint that works can cost: one that fails fast
/// does not win by being fast.
#[derive(Debug)]
pub(crate) struct Load {
    /// Seconds; negative while it is only believed, not measured.
    latency: Decaying,
    failures: Decaying,
    in_flight: AtomicU32,
}

impl Load {
    /// The load of an endpoint of which `latency` is believed.
    pub(crate) fn new(now: Nanos, latency: f32) -> Self {
        Self {
            latency: Decaying::new(now, -latency),
            failures: Decaying::new(now, 0.0),
            in_flight: AtomicU32::new(0),
        }
    }

    /// What it costs to choose this endpoint now; the cheaper of two is chosen.
    pub(crate) fn cost(&self, now: Nanos) -> f32 {
        let in_flight = self.in_flight();
        // A busy endpoint that answers nobody must not look faster by the second.
        let latency = if in_flight == 0 {
            self.latency.at(now)
        } else {
            self.latency.stored()
        };
        let failures = self.failure_ratio(now);
        let odds = if failures < NEGLIGIBLE {
            0.0
        } else {
            failures / (1.0 - failures)
        };
        (latency.abs().max(FLOOR) + PENALTY * odds * odds) * (in_flight as f32 + 1.0)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    pub(crate) fn failure_ratio(&self, now: Nanos) -> f32 {
        self.failures.at(now).min(0.999)
    }

    /// Seconds, as believed or measured.
    pub(crate) fn latency(&self, now: Nanos) -> f32 {
        self.latency.at(now).abs()
    }

    /// Seconds, if there has been a sample.
    pub(crate) fn measured(&self, now: Nanos) -> Option<f32> {
        let latency = self.latency.at(now);
        (latency > 0.0).then_some(latency)
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
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
    pub(crate) fn unanswered(&self, now: Nanos, seconds: f32) {
        if seconds > self.latency.at(now).abs() {
            self.latency.update(now, |_, _| seconds);
        }
    }

    /// Counts an outcome.
    pub(crate) fn outcome(&self, now: Nanos, failed: bool) {
        if !failed && self.failures.stored() < NEGLIGIBLE {
            return;
        }
        let target = f32::from(u8::from(failed));
        self.failures.update(now, |ratio, kept| {
            let ratio = ratio * kept;
            ratio + ALPHA * (target - ratio)
        });
    }

    /// Forgets failures: it has recovered.
    pub(crate) fn forgive(&self, now: Nanos) {
        self.failures.update(now, |_, _| 0.0);
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

    /// What is left of it now.
    fn at(&self, now: Nanos) -> f32 {
        let (value, written) = unpack(self.0.load(Relaxed));
        if value == 0.0 {
            return 0.0;
        }
        value * kept(written, now)
    }

    /// Replaces it by a function of what was stored and of how much of it is left.
    fn update(&self, now: Nanos, change: impl Fn(f32, f32) -> f32) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (value, written) = unpack(word);
            Some(pack(now, change(value, kept(written, now))))
        });
    }
}

/// Milliseconds wrap after 49 days. That is safe as long as only differences are used, and
/// those beyond half the range, which a thread with an older clock reading sees, are none.
fn kept(written: u32, now: Nanos) -> f32 {
    let elapsed = millis(now).wrapping_sub(written);
    if elapsed == 0 || elapsed > u32::MAX / 2 {
        return 1.0;
    }
    (-(elapsed as f32) / TAU_MS).exp()
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
