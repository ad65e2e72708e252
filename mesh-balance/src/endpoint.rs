use crate::{
    config::Config,
    eject::Breaker,
    load::{Load, Nanos, START},
    observer::Change,
    random::Random,
};
use mesh_core::{Class, hot::CallClock};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// One address and the service that reaches it.
#[derive(Debug)]
pub(crate) struct Endpoint<S> {
    pub(crate) record: Arc<Record>,
    pub(crate) service: S,
}

/// State that all endpoints of a balance share, whatever the type of their services.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) random: Random,
    /// Wakes requests that wait for an endpoint.
    pub(crate) appeared: Arc<Notify>,
    pub(crate) waiting: AtomicUsize,
    pub(crate) present: AtomicUsize,
    ejected: AtomicUsize,
    /// When the earliest probe is due; never, if no endpoint is ejected.
    pub(crate) next_probe: AtomicU64,
    epoch: std::time::Instant,
}

impl Core {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed),
            config,
            appeared: Arc::default(),
            waiting: AtomicUsize::new(0),
            present: AtomicUsize::new(0),
            ejected: AtomicUsize::new(0),
            next_probe: AtomicU64::new(Nanos::MAX),
            epoch: clock(),
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        self.nanos(clock())
    }

    /// The time at which a request comes.
    pub(crate) fn arriving(&self) -> Nanos {
        self.nanos(CallClock::arriving(clock))
    }

    /// The time at which a response comes, or its end.
    pub(crate) fn leaving(&self) -> Nanos {
        self.nanos(CallClock::leaving(clock))
    }

    fn nanos(&self, now: std::time::Instant) -> Nanos {
        let elapsed = now.saturating_duration_since(self.epoch);
        elapsed.as_secs() * 1_000_000_000 + Nanos::from(elapsed.subsec_nanos())
    }

    fn tell(&self, change: Change) {
        if let Some(observer) = &self.config.observer {
            observer.tell(change);
        }
    }

    /// Takes one more endpoint out, unless it is the last that is in.
    fn may_eject(&self) -> bool {
        self.ejected
            .fetch_update(SeqCst, SeqCst, |ejected| {
                (ejected + 1 < self.present.load(SeqCst)).then_some(ejected + 1)
            })
            .is_ok()
    }
}

fn clock() -> std::time::Instant {
    Instant::now().into_std()
}

/// Statistics of one endpoint, from its appearance to the end of its last request.
///
/// Requests hold on to it, not to a position in a list: an address that goes and comes back is
/// another endpoint, and late answers of the first are not held against the second.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) addr: SocketAddr,
    pub(crate) load: Load,
    pub(crate) joined: Nanos,
    /// True if there were other endpoints when it was added, so that its share grows slowly.
    pub(crate) slow_start: bool,
    ejected: AtomicBool,
    /// True if the breaker has failures on record, so that it must hear of successes. It is rarely
    /// set.
    troubled: AtomicBool,
    breaker: Mutex<Breaker>,
    core: Arc<Core>,
}

impl Record {
    pub(crate) fn new(core: Arc<Core>, addr: SocketAddr, slow_start: bool) -> Self {
        let now = core.now();
        Self {
            addr,
            load: Load::new(now),
            joined: now,
            slow_start,
            ejected: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            breaker: Mutex::new(Breaker::new()),
            core,
        }
    }

    /// Returns the number of requests whose response has not ended. Each holds a reference, and so
    /// does the list. The number is one too low for removed endpoints, which are no longer chosen.
    pub(crate) fn in_flight(record: &Arc<Self>) -> usize {
        Arc::strong_count(record).saturating_sub(1)
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a probe is due, if it is waiting for one.
    pub(crate) fn due(&self) -> Option<Nanos> {
        self.is_ejected().then(|| self.breaker().due()).flatten()
    }

    /// Makes the next request the probe, if one is due.
    pub(crate) fn probe(&self, now: Nanos) -> bool {
        self.is_ejected() && self.breaker().probe(now)
    }

    /// Called when it is no longer in the set.
    pub(crate) fn remove(&self) {
        if self.breaker().remove() {
            self.core.ejected.fetch_sub(1, SeqCst);
        }
    }

    fn success(&self, probe: bool) {
        if self.load.has_failures() {
            self.load.outcome(self.core.now(), false);
        }
        if !self.troubled.load(Relaxed) {
            return;
        }
        let Some(ejection) = &self.core.config.ejection else {
            return;
        };
        let mut breaker = self.breaker();
        let readmitted = breaker.success(ejection, probe);
        if readmitted {
            self.ejected.store(false, Relaxed);
            self.core.ejected.fetch_sub(1, SeqCst);
            self.load.forgive(self.core.now());
        }
        self.troubled.store(!breaker.is_clear(), Relaxed);
        drop(breaker);
        if readmitted {
            self.core.tell(Change::Readmitted { addr: self.addr });
        }
    }

    fn failure(&self, now: Nanos, probe: bool) {
        self.load.outcome(now, true);
        let Some(ejection) = &self.core.config.ejection else {
            return;
        };
        let jitter = self.core.random.draw().f32();
        let mut breaker = self.breaker();
        self.troubled.store(true, Relaxed);
        let until = breaker.failure(now, ejection, jitter, probe, || self.core.may_eject());
        let Some(until) = until else {
            return;
        };
        let was_ejected = self.ejected.swap(true, Relaxed);
        self.core.next_probe.fetch_min(until, SeqCst);
        drop(breaker);
        if !was_ejected {
            let pause = Duration::from_nanos(until.saturating_sub(now));
            let addr = self.addr;
            self.core.tell(Change::Ejected { addr, pause });
        }
    }

    fn abandon_probe(&self, now: Nanos) {
        let Some(ejection) = &self.core.config.ejection else {
            return;
        };
        if let Some(until) = self.breaker().abandon(now, ejection) {
            self.core.next_probe.fetch_min(until, SeqCst);
        }
    }
}

/// One request at an endpoint, from the choice until its response has ended. It counts by the
/// reference that it holds.
#[derive(Debug)]
pub(crate) struct InFlight {
    record: Arc<Record>,
    /// When it began, while its latency is still to be a sample.
    since: Option<Nanos>,
    /// True while the ejected endpoint's recovery depends on this request.
    probe: bool,
}

impl InFlight {
    /// `since` is when it began, if its latency is to be a sample.
    pub(crate) fn begin(record: Arc<Record>, since: Option<Nanos>, probe: bool) -> Self {
        Self {
            record,
            since,
            probe,
        }
    }

    /// The first frame of a good answer is here.
    pub(crate) fn answered(&mut self) {
        if let Some(since) = self.since.take() {
            let now = self.record.core.leaving();
            self.record.load.answered(now, seconds(since, now));
        }
    }

    /// Counts the exchange; the end of one may correct what its head said.
    pub(crate) fn outcome(&mut self, class: Class) {
        if class.is_failure() {
            let now = self.record.core.leaving();
            self.unanswered(now);
            self.record.failure(now, self.probe);
        } else {
            self.record.success(self.probe);
        }
        self.probe = false;
    }

    /// Data of a stream whose class is open still. It is sign enough of life to end an ejection:
    /// the stream may last for hours.
    pub(crate) fn lives(&mut self) {
        if self.probe {
            self.outcome(Class::Success);
        }
    }

    fn unanswered(&mut self, now: Nanos) {
        if let Some(since) = self.since.take() {
            let in_flight = Record::in_flight(&self.record);
            let seconds = seconds(since, now);
            self.record.load.unanswered(now, seconds, in_flight);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.since.is_some() || self.probe {
            let now = self.record.core.now();
            self.unanswered(now);
            if self.probe {
                self.record.abandon_probe(now);
            }
        }
    }
}

fn seconds(since: Nanos, now: Nanos) -> f32 {
    Duration::from_nanos(now.saturating_sub(since)).as_secs_f32()
}

/// One endpoint as seen at a moment, for metrics and people.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// Its address.
    pub addr: SocketAddr,
    /// Requests whose response has not ended.
    pub in_flight: usize,
    /// The estimate of its latency: a peak-EWMA, or 30 ms while there is nothing to go by.
    pub latency: Duration,
    /// The share of recent requests that failed: an EWMA.
    pub failure_ratio: f64,
    /// The value that choices compare: seconds of latency and penalty, times the requests in
    /// flight.
    pub load: f64,
    /// True while the endpoint is ejected.
    pub ejected: bool,
}

impl EndpointStatus {
    pub(crate) fn of(record: &Arc<Record>, now: Nanos) -> Self {
        let in_flight = Record::in_flight(record);
        let latency = record
            .load
            .latency(now, in_flight)
            .map_or(START, Duration::from_secs_f32);
        Self {
            addr: record.addr,
            in_flight,
            latency,
            failure_ratio: record.load.failure_ratio(now).into(),
            load: record
                .load
                .cost(now, latency.as_secs_f32(), in_flight)
                .into(),
            ejected: record.is_ejected(),
        }
    }
}
