use super::faults::DestinationFaults;
use mesh_discover::{FaultRule, wire::split_port};
use mesh_fault::Kind;
use mesh_retry::Budget;
use mesh_split::SharedCounter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// State that the workers' stacks of one destination share.
#[derive(Debug, Default)]
pub(crate) struct SharedState {
    /// So that the law of the budget holds for the proxy, not for each worker.
    pub(crate) budget: Budget,
    /// So that proportions are exact for the proxy.
    pub(crate) counter: SharedCounter,
    /// So that shares of faults are exact for the proxy.
    pub(crate) faults: DestinationFaults,
}

/// The [`SharedState`]s by name of the destination.
#[derive(Debug, Default)]
pub(crate) struct SharedStates(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    states: HashMap<Arc<str>, Weak<SharedState>>,
    /// The faults to inject, of all destinations.
    faults: Vec<FaultRule>,
}

impl SharedStates {
    /// The state of the destination called `name`; it lives as long as one worker holds it.
    pub(crate) fn of(&self, name: &Arc<str>) -> Arc<SharedState> {
        let mut table = self.table();
        if let Some(state) = table.states.get(name).and_then(Weak::upgrade) {
            return state;
        }
        table.states.retain(|_, state| state.strong_count() > 0);
        let state = Arc::<SharedState>::default();
        state.faults.apply(of_destination(&table.faults, name));
        table.states.insert(name.clone(), Arc::downgrade(&state));
        state
    }

    /// Injects `faults` from now on, and no others.
    pub(crate) fn set_faults(&self, faults: &[FaultRule]) {
        let mut table = self.table();
        table.faults = faults.to_vec();
        for (name, state) in &table.states {
            if let Some(state) = state.upgrade() {
                state.faults.apply(of_destination(&table.faults, name));
            }
        }
    }

    /// The requests that were injected into, by destination and kind, where there are any.
    pub(crate) fn injected(&self) -> Vec<(Arc<str>, Kind, u64)> {
        let table = self.table();
        let states = table.states.iter();
        let states = states.filter_map(|(name, state)| Some((name, state.upgrade()?)));
        let totals = states.flat_map(|(name, state)| {
            let totals = state.faults.totals();
            totals.map(move |(kind, count)| (name.clone(), kind, count))
        });
        totals.filter(|(.., count)| *count > 0).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The faults of the destination `name`, which has a port; those of a service are for all its ports.
fn of_destination<'a>(faults: &'a [FaultRule], name: &str) -> impl Iterator<Item = &'a FaultRule> {
    let (host, _) = split_port(name);
    faults.iter().filter(move |fault| *fault.service == *host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_discover::FaultKind;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn workers_share_and_what_nobody_holds_is_forgotten() {
        let states = SharedStates::default();
        let name: Arc<str> = "books:7002".into();
        let (one, two) = (states.of(&name), states.of(&name));
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        let other = states.of(&"authors:7001".into());
        assert_eq!(states.table().states.len(), 1);
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_reach_the_destinations_there_are_and_those_to_come() {
        let states = SharedStates::default();
        let books = states.of(&"books.shop.svc:7002".into());
        let fault = FaultRule {
            id: 1,
            service: "books.shop.svc".into(),
            route: None,
            share: 1_000_000,
            kind: FaultKind::Reset,
            ends: Instant::now().into_std() + Duration::from_secs(10),
        };
        states.set_faults(&[fault]);
        let admin = states.of(&"books.shop.svc:80".into());
        let authors = states.of(&"authors.shop.svc:7001".into());
        let count = |state: &SharedState| state.faults.count();
        assert_eq!((count(&books), count(&admin), count(&authors)), (1, 1, 0));
        assert_eq!(states.injected(), []);
        states.set_faults(&[]);
        assert_eq!((count(&books), count(&admin)), (0, 0));
    }
}
