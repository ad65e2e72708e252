use crate::{
    FaultLayer, Injected, Injection, Kind, TooManyInjections,
    injection::{Action, spread},
};
use http::{Request, StatusCode};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The most injections at a time: each is asked about every request.
pub const MAX_INJECTIONS: usize = 32;

/// The injections of every [`FaultLayer`] made here, to be changed while they run.
///
/// Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Shared>);

/// The number of an injection, unique within its [`Faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InjectionId(u64);

impl fmt::Display for InjectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An injection that is active, and its counts so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Active {
    /// Its number.
    pub id: InjectionId,
    /// The injection as it was added.
    pub injection: Injection,
    /// The requests that it was for; its share is counted of these.
    pub matched: u64,
    /// The requests that had their turn: exactly the share of `matched`, rounded down.
    pub injected: u64,
    /// The time after which it ends by itself, if it does.
    pub remaining: Option<Duration>,
}

impl Faults {
    /// No injections yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A layer that injects these, now and later.
    pub fn layer(&self) -> FaultLayer {
        FaultLayer::new(self.0.clone())
    }

    /// Adds `injection`, from the next request on.
    pub fn add(&self, injection: Injection) -> Result<InjectionId, TooManyInjections> {
        let now = Instant::now();
        let mut list = self.0.lock();
        let mut entries = list.running(now);
        if entries.len() >= MAX_INJECTIONS {
            return Err(TooManyInjections(()));
        }
        let id = InjectionId(list.next);
        list.next += 1;
        entries.push(Arc::new(Entry {
            id,
            // A time that is too long for the clock has no end.
            ends: injection.duration().and_then(|time| now.checked_add(time)),
            injection,
            turns: AtomicU64::new(0),
        }));
        self.0.replace(&mut list, entries);
        Ok(id)
    }

    /// Removes an injection; false if it is not active.
    ///
    /// Requests that it delays already wait for the rest of their time.
    pub fn remove(&self, id: InjectionId) -> bool {
        let mut list = self.0.lock();
        let mut entries = list.running(Instant::now());
        let before = entries.len();
        entries.retain(|entry| entry.id != id);
        let removed = entries.len() < before;
        self.0.replace(&mut list, entries);
        removed
    }

    /// Removes every injection.
    pub fn clear(&self) {
        self.0.replace(&mut self.0.lock(), Vec::new());
    }

    /// The active injections, oldest first.
    pub fn list(&self) -> Vec<Active> {
        let now = Instant::now();
        let entries = self.0.lock().running(now);
        entries.iter().map(|entry| entry.active(now)).collect()
    }

    /// The requests injected into since the beginning, by kind: these never decrease.
    pub fn totals(&self) -> [(Kind, u64); Kind::ALL.len()] {
        Kind::ALL.map(|kind| (kind, self.0.total(kind).load(Ordering::Relaxed)))
    }
}

/// The current list and a number that changes with it.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    version: AtomicU64,
    list: Mutex<List>,
    totals: [AtomicU64; Kind::ALL.len()],
}

#[derive(Debug, Default)]
struct List {
    /// None instead of an empty list: then a clone of a service counts no reference.
    entries: Option<Arc<[Arc<Entry>]>>,
    next: u64,
}

impl List {
    fn running(&self, now: Instant) -> Vec<Arc<Entry>> {
        let entries = self.entries.as_deref().unwrap_or_default().iter();
        entries
            .filter(|entry| !entry.is_over(now))
            .cloned()
            .collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, list: &mut List, entries: Vec<Arc<Entry>>) {
        list.entries = (!entries.is_empty()).then(|| entries.into());
        self.version.fetch_add(1, Ordering::Release);
    }

    fn total(&self, kind: Kind) -> &AtomicU64 {
        &self.totals[kind as usize]
    }

    /// Forgets what has ended, so that requests pass without being compared again.
    fn forget_ended(&self, now: Instant) {
        let mut list = self.lock();
        let entries = list.running(now);
        if entries.len() < list.entries.as_deref().unwrap_or_default().len() {
            self.replace(&mut list, entries);
        }
    }
}

/// An injection that was added.
#[derive(Debug)]
struct Entry {
    id: InjectionId,
    injection: Injection,
    ends: Option<Instant>,
    turns: AtomicU64,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    fn active(&self, now: Instant) -> Active {
        let matched = self.turns.load(Ordering::Relaxed);
        Active {
            id: self.id,
            injection: self.injection.clone(),
            matched,
            injected: self.injection.share().among(matched),
            remaining: self.ends.map(|ends| ends.saturating_duration_since(now)),
        }
    }
}

/// A service's own copy of the list, refreshed when its number is no longer the current one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Local {
    version: u64,
    entries: Option<Arc<[Arc<Entry>]>>,
}

impl Local {
    /// Decides about `req`: one atomic load if nothing is injected.
    #[inline]
    pub(crate) fn decide<B>(&mut self, shared: &Shared, req: &Request<B>) -> Option<Decision> {
        if shared.version.load(Ordering::Acquire) != self.version {
            self.refresh(shared);
        }
        let entries = self.entries.as_deref()?;
        decide(entries, shared, req)
    }

    #[cold]
    fn refresh(&mut self, shared: &Shared) {
        let list = shared.lock();
        self.version = shared.version.load(Ordering::Acquire);
        self.entries.clone_from(&list.entries);
    }
}

/// The faults of one request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) delay: Option<Duration>,
    pub(crate) ending: Option<Ending>,
    pub(crate) injected: Injected,
}

/// The end of a request that does not reach the service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Status(StatusCode),
    GrpcStatus(u16),
    Reset,
}

/// Asks each injection in turn; the first error or reset ends the search. Delays add up.
#[cold]
#[inline(never)]
fn decide<B>(entries: &[Arc<Entry>], shared: &Shared, req: &Request<B>) -> Option<Decision> {
    let mut now = None;
    let mut any_over = false;
    let mut decision: Option<Decision> = None;
    for entry in entries {
        let left = match entry.ends {
            None => None,
            Some(ends) => {
                let now = *now.get_or_insert_with(Instant::now);
                if entry.is_over(now) {
                    any_over = true;
                    continue;
                }
                Some(ends - now)
            }
        };
        if !entry.injection.matches(req) {
            continue;
        }
        let turn = entry.turns.fetch_add(1, Ordering::Relaxed);
        let share = entry.injection.share();
        if !share.chooses(turn) {
            continue;
        }
        let kind = entry.injection.kind();
        shared.total(kind).fetch_add(1, Ordering::Relaxed);
        let injected = Injected::new(entry.id, kind);
        let decision = decision.get_or_insert(Decision {
            delay: None,
            ending: None,
            injected,
        });
        decision.injected = injected;
        decision.ending = match entry.injection.action() {
            Action::Delay { min, max } => {
                let delay = spread(min, max, share.among(turn));
                // No delay outlives its injection.
                let delay = left.map_or(delay, |left| delay.min(left));
                decision.delay = Some(decision.delay.unwrap_or_default() + delay);
                None
            }
            Action::Status(status) => Some(Ending::Status(status)),
            Action::GrpcStatus(code) => Some(Ending::GrpcStatus(code)),
            Action::Reset => Some(Ending::Reset),
        };
        if decision.ending.is_some() {
            break;
        }
    }
    if let (true, Some(now)) = (any_over, now) {
        shared.forget_ended(now);
    }
    decision
}
