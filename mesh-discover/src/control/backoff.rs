use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// An exponential pause with jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    pub(super) fn new((min, max): (Duration, Duration)) -> Self {
        Self {
            min,
            max: max.max(min),
            next: min,
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// Something worked: the next pause is the shortest again.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// The pause to make now: between half of the present step and all of it, so that a
    /// thousand sidecars do not return to a restarted controller in step.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.max);
        step.mul_f64(0.5 + self.unit() / 2.0)
    }

    /// A number in `0..1`, from the keys std draws for hash maps: good enough for jitter.
    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.drawn);
        // 53 bits fit a double exactly.
        (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_success() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(100), ms(1000)));
        for step in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.pause();
            assert!(
                pause >= ms(step / 2) && pause <= ms(step),
                "{pause:?} of {step}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= ms(100));
    }
}
