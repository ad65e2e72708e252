use fastrand::Rng;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Seeds of a balance's random numbers: a counter, so that clones draw different numbers and the
/// request path has no lock.
#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
    next: AtomicU64,
}

impl Random {
    /// Repeats itself for the same `seed`; without one, no two are alike.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        // std seeds its hash maps from the operating system.
        let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Self {
            seed,
            next: AtomicU64::new(seed),
        }
    }

    /// Returns the first seed.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The numbers for one choice.
    pub(crate) fn draw(&self) -> Rng {
        // Two threads may now and then draw the same numbers: it is cheaper than to agree.
        let next = self.next.load(Relaxed);
        self.next.store(next.wrapping_add(GOLDEN), Relaxed);
        Rng::with_seed(mix(next))
    }
}

/// Spreads every bit of `x` over all (the finalizer of SplitMix64).
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_drawn_about_equally_often() {
        let random = Random::new(Some(7));
        let mut counts = [0i32; 10];
        for _ in 0..50_000 {
            let mut draw = random.draw();
            counts[draw.usize(..10)] += 1;
            counts[draw.usize(..10)] += 1;
            assert!((0.0..1.0).contains(&draw.f32()));
        }
        for count in counts {
            assert!((count - 10_000).abs() < 500, "{counts:?}");
        }
    }

    #[test]
    fn a_seed_repeats_itself_and_no_seed_does_not() {
        let first = |seed| Random::new(seed).draw().u64(..);
        assert_eq!(first(Some(1)), first(Some(1)));
        assert_ne!(first(None), first(None));
    }
}
