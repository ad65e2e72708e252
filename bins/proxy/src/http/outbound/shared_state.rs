use mesh_retry::Budget;
use mesh_split::SharedCounter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// State that the workers' stacks of one destination share.
#[derive(Debug, Default)]
pub(crate) struct SharedState {
    /// So that the law of the budget holds for the proxy, not for each worker.
    pub(crate) budget: Budget,
    /// So that proportions are exact for the proxy.
    pub(crate) counter: SharedCounter,
}

/// The [`SharedState`]s by name of the destination.
#[derive(Debug, Default)]
pub(crate) struct SharedStates(Mutex<HashMap<Arc<str>, Weak<SharedState>>>);

impl SharedStates {
    /// The state of the destination called `name`; it lives as long as one worker holds it.
    pub(crate) fn of(&self, name: &Arc<str>) -> Arc<SharedState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(name).and_then(Weak::upgrade) {
            return state;
        }
        states.retain(|_, state| state.strong_count() > 0);
        let state = Arc::default();
        states.insert(name.clone(), Arc::downgrade(&state));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_and_what_nobody_holds_is_forgotten() {
        let states = SharedStates::default();
        let name: Arc<str> = "books:7002".into();
        let (one, two) = (states.of(&name), states.of(&name));
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        let other = states.of(&"authors:7001".into());
        assert_eq!(states.0.lock().unwrap().len(), 1);
        drop(other);
    }
}
