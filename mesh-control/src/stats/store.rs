//! All sidecars' recent history.

use super::{Family, Labels, Reading, Sidecar, series::Interner, target::Target};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The longest window, and the time for which a sidecar that went away is remembered.
pub const RETAIN: Duration = mesh_api::Window::KEPT;

/// The interval at which unused names are dropped.
const SWEEP: Duration = Duration::from_secs(60);

/// The age from which the last reading of a gauge is ignored.
const STALE: Duration = Duration::from_secs(10);

/// The recent history of every sidecar. Grows with the number of series that change, not with
/// time.
#[derive(Debug, Default)]
pub struct Store {
    targets: BTreeMap<Sidecar, Target>,
    interner: Interner,
    latest: Option<Instant>,
    swept: Option<Instant>,
}

/// A stretch of time that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub start: Instant,
    /// Its end: the latest reading.
    pub end: Instant,
}

/// The increase of a counter within a span, or the value of a gauge.
#[derive(Clone, Copy, Debug)]
pub struct Increase<'a> {
    /// The sidecar that counted it.
    pub source: &'a Sidecar,
    /// Since when: the start of the span, or later when there is no history from then.
    pub since: Instant,
    /// The family.
    pub family: Family,
    /// The bucket, of a histogram.
    pub bucket: u8,
    /// The labels.
    pub labels: &'a Labels,
    /// The increase, never zero; or the gauge's value.
    pub count: u64,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a reading of `source`.
    pub fn ingest(&mut self, source: &Sidecar, reading: &Reading<'_>) {
        match self.targets.get_mut(source) {
            Some(target) => target.read(reading, &mut self.interner),
            None => {
                let target = Target::new(reading, RETAIN, &mut self.interner);
                self.targets.insert(source.clone(), target);
            }
        }
        self.latest = self.latest.max(Some(reading.at));
        self.expire(reading.at);
    }

    /// Forgets what is older than [`RETAIN`].
    pub fn expire(&mut self, now: Instant) {
        let Some(oldest) = now.checked_sub(RETAIN) else {
            return;
        };
        self.targets.retain(|_, target| target.last() >= oldest);
        for target in self.targets.values_mut() {
            target.expire(oldest);
        }
        if self
            .swept
            .is_none_or(|last| now.saturating_duration_since(last) >= SWEEP)
        {
            self.swept = Some(now);
            self.targets.values_mut().for_each(Target::sweep);
            self.interner.sweep();
        }
    }

    /// The last `length` of time.
    pub fn span(&self, now: Instant, length: Duration) -> Span {
        let end = self.latest.map_or(now, |latest| latest.min(now));
        Span {
            start: end.checked_sub(length.min(RETAIN)).unwrap_or(end),
            end,
        }
    }

    /// Every sidecar known, also those that went away within [`RETAIN`].
    pub fn sources(&self) -> impl Iterator<Item = &Sidecar> {
        self.targets.keys()
    }

    /// Shows every series that grew within `span`.
    pub fn increases(&self, span: Span, mut see: impl FnMut(&Increase<'_>)) {
        for (source, target) in &self.targets {
            let (since, increases) = target.since(span.start);
            for (series, count) in increases {
                see(&Increase {
                    source,
                    since,
                    family: series.family,
                    bucket: series.bucket,
                    labels: &series.labels,
                    count,
                });
            }
        }
    }

    /// Shows every series that grew within `span`, step by step from its start: steps are numbered
    /// from zero. What grew between two readings belongs to the step of the time halfway.
    pub fn series(&self, span: Span, step: Duration, mut see: impl FnMut(usize, &Increase<'_>)) {
        let step = step.max(Duration::from_millis(1));
        for (source, target) in &self.targets {
            target.each_since(span.start, |at, series, count| {
                let elapsed = at.saturating_duration_since(span.start);
                let number = elapsed.as_millis() / step.as_millis();
                let number = usize::try_from(number).unwrap_or(usize::MAX);
                let start = step.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
                see(
                    number,
                    &Increase {
                        source,
                        since: span.start
                            + start.min(span.end.saturating_duration_since(span.start)),
                        family: series.family,
                        bucket: series.bucket,
                        labels: &series.labels,
                        count,
                    },
                );
            });
        }
    }

    /// Shows every gauge of the sidecars that are there at the end of `span`.
    pub fn gauges(&self, span: Span, mut see: impl FnMut(&Increase<'_>)) {
        let present = |target: &&Target| span.end.saturating_duration_since(target.last()) < STALE;
        let targets = self.targets.iter();
        for (source, target) in targets.filter(|(_, target)| present(target)) {
            for (series, count) in target.gauges() {
                see(&Increase {
                    source,
                    since: span.start,
                    family: series.family,
                    bucket: 0,
                    labels: &series.labels,
                    count,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Histogram;

    const EPOCH: u64 = 1_700_000_000;

    struct Clock {
        zero: Instant,
    }

    impl Clock {
        fn new() -> Self {
            // Far from the beginning of the clock, so that the past can be spoken of.
            let zero = tokio::time::Instant::now().into_std() + Duration::from_secs(100_000);
            Self { zero }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.zero + Duration::from_secs(seconds)
        }

        fn read(&self, store: &mut Store, seconds: u64, text: &str) {
            let reading = Reading {
                text,
                at: self.at(seconds),
                calendar: Duration::from_secs(EPOCH + seconds),
            };
            store.ingest(&authors(), &reading);
        }

        /// The sum of what grew, and the seconds it took.
        fn grew(&self, store: &Store, now: u64, length: u64) -> (u64, f64) {
            let span = store.span(self.at(now), Duration::from_secs(length));
            let (mut sum, mut since) = (0, span.end);
            store.increases(span, |increase| {
                sum += increase.count;
                since = since.min(increase.since);
            });
            (sum, (span.end - since).as_secs_f64())
        }
    }

    fn authors() -> Sidecar {
        Sidecar {
            namespace: "booksapp".into(),
            deployment: "authors".into(),
            pod: "authors-0".into(),
        }
    }

    fn text(started: u64, count: u64) -> String {
        format!(
            "request_total{{direction=\"inbound\"}} {count}\nprocess_start_time_seconds {}\n",
            EPOCH + started
        )
    }

    #[test]
    fn a_full_window_counts_what_it_covers() {
        let (clock, mut store) = (Clock::new(), Store::new());
        for second in 0..=200 {
            clock.read(&mut store, second, &text(0, second * 3));
        }
        assert_eq!(clock.grew(&store, 200, 60), (180, 60.0));
        assert_eq!(clock.grew(&store, 200, 100), (300, 100.0));
    }

    #[test]
    fn steps_count_what_happened_in_each_of_them() {
        let (clock, mut store) = (Clock::new(), Store::new());
        for second in 0..=40 {
            // Twice as much in the second half.
            let count: u64 = second + u64::saturating_sub(second, 20);
            clock.read(&mut store, second, &text(0, count));
        }
        let span = store.span(clock.at(40), Duration::from_secs(40));
        let mut steps = [0; 4];
        store.series(span, Duration::from_secs(10), |step, increase| {
            steps[step] += increase.count;
        });
        assert_eq!(steps, [10, 10, 20, 20]);
    }

    #[test]
    fn before_a_window_is_full_it_covers_the_time_there_is() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 10, &text(0, 50));
        clock.read(&mut store, 11, &text(0, 55));
        // Seen first ten seconds after its start, and counted from its start.
        assert_eq!(clock.grew(&store, 11, 60), (55, 11.0));
    }

    #[test]
    fn a_process_older_than_the_history_counts_from_its_first_reading() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 5_000, &text(0, 1_000_000));
        assert_eq!(clock.grew(&store, 5_000, 60).0, 0);
        clock.read(&mut store, 5_001, &text(0, 1_000_007));
        assert_eq!(clock.grew(&store, 5_001, 60), (7, 1.0));
    }

    #[test]
    fn the_long_past_of_a_process_is_not_put_into_a_short_window() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 600, &text(0, 6_000));
        clock.read(&mut store, 610, &text(0, 6_100));
        assert_eq!(clock.grew(&store, 610, 60), (100, 10.0));
        assert_eq!(clock.grew(&store, 610, 900), (6_100, 610.0));
    }

    #[test]
    fn a_restart_counts_from_zero() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 0, &text(0, 0));
        clock.read(&mut store, 10, &text(0, 100));
        // The new process has already counted further than the old one.
        clock.read(&mut store, 20, &text(12, 130));
        assert_eq!(clock.grew(&store, 20, 60).0, 230);
    }

    #[test]
    fn a_counter_that_goes_down_began_anew_unless_its_process_did_not() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 0, &text(0, 0));
        clock.read(&mut store, 10, &text(0, 100));
        clock.read(&mut store, 20, &text(0, 40));
        clock.read(&mut store, 21, &text(0, 42));
        assert_eq!(clock.grew(&store, 21, 60).0, 102);

        let (clock, mut store) = (Clock::new(), Store::new());
        for (second, count) in [(0, 7), (10, 100), (20, 40)] {
            let text = format!("request_total{{direction=\"inbound\"}} {count}\n");
            clock.read(&mut store, second, &text);
        }
        assert_eq!(clock.grew(&store, 20, 60).0, 93 + 40);
    }

    #[test]
    fn missed_readings_lose_nothing() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 0, &text(0, 0));
        clock.read(&mut store, 1, &text(0, 10));
        clock.read(&mut store, 31, &text(0, 310));
        assert_eq!(clock.grew(&store, 31, 60), (310, 31.0));
    }

    #[test]
    fn a_sidecar_that_went_away_is_remembered_until_it_ages_out() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(&mut store, 0, &text(0, 0));
        clock.read(&mut store, 1, &text(0, 10));
        store.expire(clock.at(800));
        assert_eq!(store.sources().count(), 1);
        store.expire(clock.at(902));
        assert_eq!(store.sources().count(), 0);
    }

    #[test]
    fn a_response_is_in_one_bucket_only() {
        let (clock, mut store) = (Clock::new(), Store::new());
        let text = |second: u64| {
            let cumulative = [("1", 0), ("2", second), ("3", second), ("+Inf", 2 * second)];
            cumulative.map(|(le, count)| {
                format!("response_latency_ms_bucket{{direction=\"inbound\",le=\"{le}\"}} {count}\n")
            })
        };
        for second in 0..=10 {
            let text = text(second).concat() + "process_start_time_seconds 1\n";
            clock.read(&mut store, second, &text);
        }
        let mut latency = Histogram::default();
        let span = store.span(clock.at(10), Duration::from_secs(60));
        store.increases(span, |increase| {
            latency.add(increase.bucket, increase.count);
        });
        let mut expected = Histogram::default();
        expected.add(1, 10);
        expected.add(25, 10);
        assert_eq!(latency, expected);
    }

    #[test]
    fn gauges_are_what_was_last_read_while_the_sidecar_is_there() {
        let (clock, mut store) = (Clock::new(), Store::new());
        clock.read(
            &mut store,
            0,
            "tcp_open_connections{direction=\"inbound\"} 8\n",
        );
        clock.read(
            &mut store,
            1,
            "tcp_open_connections{direction=\"inbound\"} 3\n",
        );
        let mut seen = Vec::new();
        let span = store.span(clock.at(2), Duration::from_secs(60));
        store.gauges(span, |gauge| seen.push(gauge.count));
        assert_eq!(seen, [3]);
    }

    #[test]
    fn series_come_and_go_without_trace() {
        let (clock, mut store) = (Clock::new(), Store::new());
        for second in 0..4_000 {
            let text = format!(
                "request_total{{direction=\"outbound\",authority=\"host-{}\"}} 1\n",
                second / 10
            );
            clock.read(&mut store, second, &text);
        }
        let target = &store.targets[&authors()];
        assert!(target.live_series() < 160, "{}", target.live_series());
    }

    /// A hundred series that change every second, and a hundred that do not.
    #[test]
    fn a_quarter_of_an_hour_takes_little_memory() {
        let (clock, mut store) = (Clock::new(), Store::new());
        for second in 0..900_u64 {
            let mut text = String::new();
            for series in 0..200_u64 {
                let count = second * u64::from(series % 2 == 0);
                text +=
                    &format!("request_total{{direction=\"inbound\",dst=\"{series}\"}} {count}\n");
            }
            clock.read(&mut store, second, &text);
        }
        let target = &store.targets[&authors()];
        assert!(target.packed() < 900 * 210, "{}", target.packed());
    }
}
