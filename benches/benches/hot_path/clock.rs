use criterion::{
    BatchSize, Criterion,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Measures what a thread spends of a processor: on a machine that is shared, the time on the
/// wall says more of the others.
pub(crate) struct Processor;

/// Few enough that they stay near the processor, where a request is that was just read.
pub(crate) const BATCH: BatchSize = BatchSize::NumIterations(100);

/// A configuration that measures so.
pub(crate) fn processor() -> Criterion<Processor> {
    Criterion::default().with_measurement(Processor)
}

/// Returns the CPU time of this thread so far.
pub(crate) fn spent() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

impl Measurement for Processor {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        spent()
    }

    fn end(&self, start: Duration) -> Duration {
        spent() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
