use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the randomness of a balance begins: a counter, so that clones do not draw the same
/// numbers and the request path has no state to lock.
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

    /// What it began with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The numbers for one choice.
    pub(crate) fn draw(&self) -> Draw {
        // Two threads may now and then draw the same numbers: it is cheaper than to agree.
        let next = self.next.load(Relaxed);
        self.next.store(next.wrapping_add(GOLDEN), Relaxed);
        Draw(mix(next) | 1)
    }
}

/// A short run of numbers (xorshift64*): fast, and good enough to choose by.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next()) * n as u64) >> 32) as usize
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 8) as f32 / (1u32 << 24) as f32
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
            counts[draw.below(10)] += 1;
            counts[draw.below(10)] += 1;
            assert!((0.0..1.0).contains(&draw.unit()));
        }
        for count in counts {
            assert!((count - 10_000).abs() < 500, "{counts:?}");
        }
    }

    #[test]
    fn a_seed_repeats_itself_and_no_seed_does_not() {
        let first = |seed| Random::new(seed).draw().next();
        assert_eq!(first(Some(1)), first(Some(1)));
        assert_ne!(first(None), first(None));
    }
}
