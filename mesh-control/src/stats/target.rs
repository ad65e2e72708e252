//! The recent history of one sidecar.

use super::{
    Family,
    samples::Sample,
    series::{Interner, Series},
    text,
};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

/// The most samples of one sidecar that are followed; more are not counted. A sidecar bounds its
/// own series well below this.
const MAX_LINES: usize = 50_000;

/// The sidecar whose metrics they are, by its replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sidecar {
    /// The workload's namespace.
    pub namespace: Arc<str>,
    /// The workload.
    pub deployment: Arc<str>,
    /// The replica.
    pub pod: Arc<str>,
}

/// One reading of a sidecar's metrics.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The text.
    pub text: &'a str,
    /// When it was read.
    pub at: Instant,
    /// The same by the calendar, since 1970: processes tell their start that way.
    pub calendar: Duration,
}

impl Reading<'_> {
    /// When the process started, in seconds since 1970.
    fn process_start(&self) -> Option<f64> {
        let text = self.text;
        text.lines()
            .find_map(|line| line.strip_prefix("process_start_time_seconds"))
            .and_then(|rest| rest.rsplit(' ').next()?.parse().ok())
    }

    /// When that was, by the clock of the readings.
    fn started_at(&self, process_start: f64) -> Option<Instant> {
        let age = (self.calendar.as_secs_f64() - process_start).max(0.0);
        self.at.checked_sub(Duration::try_from_secs_f64(age).ok()?)
    }
}

#[derive(Debug)]
struct Line {
    series: u32,
    value: u64,
    /// The number of the reading that last had it.
    seen: u32,
}

#[derive(Debug)]
pub(crate) struct Target {
    process_start: Option<f64>,
    since: Instant,
    last: Instant,
    readings: u32,
    /// The last value of each sample, by a keyed 64-bit hash of its name and labels: two in ten
    /// thousand of them collide once in a hundred billion tables, and the text would take more
    /// memory than all else.
    lines: HashMap<u64, Line>,
    hasher: RandomState,
    series: Vec<Option<Series>>,
    numbers: HashMap<Series, u32>,
    free: Vec<u32>,
    samples: VecDeque<Sample>,
}

impl Target {
    /// The first reading. The counters of a process that started within `retain` count from
    /// then, those of an older one from now.
    pub(crate) fn new(reading: &Reading<'_>, retain: Duration, interner: &mut Interner) -> Self {
        let process_start = reading.process_start();
        let since = process_start
            .and_then(|start| reading.started_at(start))
            .filter(|start| reading.at.saturating_duration_since(*start) <= retain);
        let mut new = Self {
            process_start,
            since: since.unwrap_or(reading.at),
            last: since.unwrap_or(reading.at),
            readings: 0,
            lines: HashMap::new(),
            hasher: RandomState::new(),
            series: Vec::new(),
            numbers: HashMap::new(),
            free: Vec::new(),
            samples: VecDeque::new(),
        };
        let increases = new.increases(reading, false, interner);
        if since.is_some() {
            new.push(new.last, reading.at, increases);
        }
        new.last = reading.at;
        new
    }

    /// A further reading.
    pub(crate) fn read(&mut self, reading: &Reading<'_>, interner: &mut Interner) {
        let mut from = self.last;
        let mut is_same_process = false;
        let process_start = reading.process_start();
        if let (Some(old), Some(new)) = (self.process_start, process_start) {
            is_same_process = (old - new).abs() < 0.5;
            if !is_same_process {
                // Under the same name: everything it counted is new.
                self.lines.clear();
                from = reading.started_at(new).map_or(from, |at| at.max(from));
            }
        }
        self.process_start = process_start.or(self.process_start);
        let increases = self.increases(reading, is_same_process, interner);
        self.push(from, reading.at, increases);
        self.last = reading.at;
    }

    fn push(&mut self, from: Instant, at: Instant, mut increases: Vec<(u32, u64)>) {
        increases.sort_unstable();
        increases.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        if !increases.is_empty() {
            self.samples.push_back(Sample::new(from, at, &increases));
        }
    }

    /// Increases since the last reading, in the order of the text.
    fn increases(
        &mut self,
        reading: &Reading<'_>,
        is_same_process: bool,
        interner: &mut Interner,
    ) -> Vec<(u32, u64)> {
        self.readings = self.readings.wrapping_add(1);
        let mut increases = Vec::new();
        // Buckets are cumulative, in the text and in time; a response is kept once.
        let mut narrower: Option<(Series, u64)> = None;
        for line in text::lines(reading.text) {
            let Some(family) = Family::of(line.name) else {
                continue;
            };
            let hash = self.hasher.hash_one(line.raw);
            if !self.lines.contains_key(&hash) {
                if self.lines.len() >= MAX_LINES {
                    continue;
                }
                let Some(series) = interner.series(family, &line) else {
                    continue;
                };
                let series = self.number(series);
                let (value, seen) = (0, self.readings);
                self.lines.insert(
                    hash,
                    Line {
                        series,
                        value,
                        seen,
                    },
                );
            }
            let Some(known) = self.lines.get_mut(&hash) else {
                continue;
            };
            let value = line.value.max(0.0) as u64;
            // A counter that went down began anew. Not so if it is known to be the same process
            // as before: then a part of a sum was dropped, and what remains is not news.
            let grew = value.checked_sub(known.value);
            let increase = grew.unwrap_or(if is_same_process { 0 } else { value });
            known.value = value;
            known.seen = self.readings;
            if family.is_gauge() {
                continue;
            }
            let number = known.series;
            let mut own = increase;
            if family.is_histogram()
                && let Some(series) = &self.series[number as usize]
            {
                if let Some((before, counted)) = &narrower
                    && before.bucket < series.bucket
                    && before.family == series.family
                    && Arc::ptr_eq(&before.labels, &series.labels)
                {
                    own = own.saturating_sub(*counted);
                }
                narrower = Some((series.clone(), increase));
            }
            if own > 0 {
                increases.push((number, own));
            }
        }
        self.lines.retain(|_, line| line.seen == self.readings);
        increases
    }

    fn number(&mut self, series: Series) -> u32 {
        match self.numbers.entry(series) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let series = Some(new.key().clone());
                let number = match self.free.pop() {
                    Some(number) => {
                        self.series[number as usize] = series;
                        number
                    }
                    None => {
                        self.series.push(series);
                        u32::try_from(self.series.len() - 1).expect("bounded by MAX_LINES")
                    }
                };
                *new.insert(number)
            }
        }
    }

    /// When it was last read.
    pub(crate) fn last(&self) -> Instant {
        self.last
    }

    /// The increase of each series since about `start`, and since when exactly.
    pub(crate) fn since(&self, start: Instant) -> (Instant, Vec<(&Series, u64)>) {
        let mut begin = self.since.max(start);
        let mut sums = vec![0; self.series.len()];
        for sample in self.samples.iter().rev() {
            if !sample.is_after(start) {
                begin = begin.max(sample.at);
                break;
            }
            begin = begin.min(sample.from);
            for (number, increase) in sample.increases() {
                sums[number as usize] += increase;
            }
        }
        let series = self.series.iter().zip(sums);
        let increased = series.filter(|(_, sum)| *sum > 0);
        let increased = increased.filter_map(|(series, sum)| Some((series.as_ref()?, sum)));
        (begin, increased.collect())
    }

    /// Shows each increase after about `start`, and the middle of the time in which it happened.
    pub(crate) fn each_since(&self, start: Instant, mut see: impl FnMut(Instant, &Series, u64)) {
        let samples = self.samples.iter().rev();
        for sample in samples.take_while(|sample| sample.is_after(start)) {
            let middle = sample.from + sample.at.saturating_duration_since(sample.from) / 2;
            for (number, increase) in sample.increases() {
                if let Some(series) = &self.series[number as usize] {
                    see(middle, series, increase);
                }
            }
        }
    }

    /// The gauges as last read.
    pub(crate) fn gauges(&self) -> impl Iterator<Item = (&Series, u64)> {
        self.lines.values().filter_map(|line| {
            let series = self.series[line.series as usize].as_ref()?;
            series.family.is_gauge().then_some((series, line.value))
        })
    }

    /// Forgets what happened before `oldest`.
    pub(crate) fn expire(&mut self, oldest: Instant) {
        while self.samples.front().is_some_and(|first| first.at < oldest) {
            self.samples.pop_front();
        }
    }

    /// Forgets series that are neither exposed nor in any sample.
    pub(crate) fn sweep(&mut self) {
        let mut used = vec![false; self.series.len()];
        let exposed = self.lines.values().map(|line| line.series);
        let sampled = self.samples.iter().flat_map(Sample::increases);
        for number in exposed.chain(sampled.map(|(number, _)| number)) {
            used[number as usize] = true;
        }
        for (number, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
            if let Some(series) = self.series[number].take() {
                self.numbers.remove(&series);
                self.free.push(u32::try_from(number).expect("a number"));
            }
        }
        self.lines.shrink_to(2 * self.lines.len());
        self.samples.shrink_to(2 * self.samples.len());
    }

    /// The bytes that all samples take.
    #[cfg(test)]
    pub(crate) fn packed(&self) -> usize {
        self.samples.iter().map(Sample::len).sum()
    }

    #[cfg(test)]
    pub(crate) fn live_series(&self) -> usize {
        self.numbers.len()
    }
}
