//! Faults that people want injected, until they end.

use crate::model::ServiceName;
use mesh_discover::FaultKind;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::sync::watch;

/// The most faults of one service: each is asked about every request to it.
pub const MAX_PER_SERVICE: usize = 32;

/// The most faults of all services together.
pub const MAX_FAULTS: usize = 256;

/// A fault in requests to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredFault {
    /// Its number; unique, and never used again.
    pub id: u64,
    /// The service that is called.
    pub service: ServiceName,
    /// The name of the route; `None` for all requests.
    pub route: Option<Arc<str>>,
    /// The share of the requests in millionths, from 1 to 1,000,000.
    pub share: u32,
    /// The fault.
    pub kind: FaultKind,
    /// Namespace and name of the only workload whose requests are meant; `None` for all.
    pub from: Option<(Arc<str>, Arc<str>)>,
    /// The time at which the fault ends by itself.
    pub ends: SystemTime,
}

/// The faults of a mesh. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    list: Mutex<List>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct List {
    faults: Vec<DeclaredFault>,
    last: u64,
}

/// There are as many faults already as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyFaults(usize);

impl fmt::Display for TooManyFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults are active already; remove one first", self.0)
    }
}

impl std::error::Error for TooManyFaults {}

impl DeclaredFault {
    /// The time that is left; `None` if the fault is over.
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        let left = self.ends.duration_since(now).ok();
        left.filter(|left| !left.is_zero())
    }

    /// Returns true if requests of the workload `client` (namespace and name) are meant.
    pub fn is_for(&self, client: Option<(&str, &str)>) -> bool {
        let from = self.from.as_ref();
        from.is_none_or(|(namespace, name)| client == Some((namespace, name)))
    }
}

impl Faults {
    /// No faults; the first will have the number after `last`.
    pub fn after(last: u64) -> Self {
        let new = Self::default();
        new.list().last = last;
        new
    }

    /// Adds a fault, and gives it a number.
    ///
    /// # Errors
    ///
    /// [`TooManyFaults`] if there are [`MAX_PER_SERVICE`] of the service or [`MAX_FAULTS`] in all.
    pub fn add(&self, mut fault: DeclaredFault, now: SystemTime) -> Result<u64, TooManyFaults> {
        let mut list = self.list();
        list.faults.retain(|fault| fault.remaining(now).is_some());
        let of_service = list.faults.iter().filter(|it| it.service == fault.service);
        if of_service.count() >= MAX_PER_SERVICE {
            return Err(TooManyFaults(MAX_PER_SERVICE));
        }
        if list.faults.len() >= MAX_FAULTS {
            return Err(TooManyFaults(MAX_FAULTS));
        }
        list.last += 1;
        fault.id = list.last;
        list.faults.push(fault);
        let id = list.last;
        drop(list);
        self.changed();
        Ok(id)
    }

    /// Puts back a fault that has a number.
    pub fn restore(&self, fault: DeclaredFault) {
        let mut list = self.list();
        list.last = list.last.max(fault.id);
        list.faults.push(fault);
        drop(list);
        self.changed();
    }

    /// Removes a fault. Returns false if there is none of this number.
    pub fn remove(&self, id: u64, now: SystemTime) -> bool {
        let mut list = self.list();
        list.faults.retain(|fault| fault.remaining(now).is_some());
        let before = list.faults.len();
        list.faults.retain(|fault| fault.id != id);
        let is_removed = list.faults.len() < before;
        drop(list);
        self.changed();
        is_removed
    }

    /// The faults that are not over at `now`, oldest first.
    pub fn active(&self, now: SystemTime) -> Vec<DeclaredFault> {
        let list = self.list();
        let active = list.faults.iter();
        active
            .filter(|it| it.remaining(now).is_some())
            .cloned()
            .collect()
    }

    /// The number of the last fault that was added.
    pub fn last(&self) -> u64 {
        self.list().last
    }

    /// A number that changes whenever a fault is added or removed.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    fn changed(&self) {
        self.0.version.send_modify(|version| *version += 1);
    }

    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing panics while holding the lock.
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(service: &str, seconds: u64) -> DeclaredFault {
        DeclaredFault {
            id: 0,
            service: ServiceName {
                service: service.into(),
                namespace: "shop".into(),
            },
            route: None,
            share: 100_000,
            kind: FaultKind::Reset,
            from: None,
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_fault_is_active_until_it_ends_or_is_removed() {
        let faults = Faults::after(3);
        let version = faults.version();
        assert_eq!(faults.add(fault("a", 10), at(0)), Ok(4));
        assert_eq!(faults.add(fault("b", 20), at(0)), Ok(5));
        assert!(version.has_changed().unwrap());
        let ids = |now| {
            faults
                .active(at(now))
                .iter()
                .map(|it| it.id)
                .collect::<Vec<_>>()
        };
        assert_eq!((ids(9), ids(10), ids(20)), (vec![4, 5], vec![5], vec![]));
        assert!(faults.remove(5, at(9)));
        assert!(!faults.remove(5, at(9)));
        assert!(!faults.remove(4, at(10)));
        assert_eq!(ids(0), Vec::<u64>::new());

        faults.restore(DeclaredFault {
            id: 9,
            ..fault("a", 10)
        });
        assert_eq!(faults.add(fault("a", 10), at(0)), Ok(10));
    }

    #[test]
    fn there_is_a_limit_for_a_service_and_for_all() {
        let faults = Faults::default();
        for _ in 0..MAX_PER_SERVICE {
            faults.add(fault("a", 10), at(0)).unwrap();
        }
        assert_eq!(
            faults.add(fault("a", 10), at(0)),
            Err(TooManyFaults(MAX_PER_SERVICE))
        );
        for number in MAX_PER_SERVICE..MAX_FAULTS {
            faults.add(fault(&format!("b{number}"), 10), at(0)).unwrap();
        }
        assert_eq!(
            faults.add(fault("c", 10), at(0)),
            Err(TooManyFaults(MAX_FAULTS))
        );
        // What is over makes room.
        assert!(faults.add(fault("a", 30), at(10)).is_ok());
    }

    #[test]
    fn a_fault_may_be_for_the_requests_of_one_workload() {
        let mut one = fault("a", 10);
        assert!(one.is_for(None) && one.is_for(Some(("shop", "web"))));
        one.from = Some(("shop".into(), "web".into()));
        assert!(one.is_for(Some(("shop", "web"))));
        assert!(!one.is_for(Some(("shop", "other"))) && !one.is_for(None));
    }
}
