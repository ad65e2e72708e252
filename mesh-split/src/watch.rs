use crate::{
    Leaf, NoLeaves, SharedCounter,
    leaf::{Share, Table},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Replaces the leaves of a [`Split`](crate::Split) and all its clones while they run.
pub struct SplitHandle<S>(Arc<Watch<S>>);

impl<S> SplitHandle<S> {
    pub(crate) fn new(watch: Arc<Watch<S>>) -> Self {
        Self(watch)
    }

    /// Replaces all leaves and weights, from the next call on.
    ///
    /// Calls in flight are not disturbed. On an error nothing changes. Leaves and weights equal
    /// to the present ones continue the present sequence of turns; others begin their own.
    pub fn set<L: Into<Leaf<S>>>(
        &self,
        leaves: impl IntoIterator<Item = L>,
    ) -> Result<(), NoLeaves> {
        let table = Table::build(leaves, |shares| self.0.turns(shares))?;
        self.0.set(table);
        Ok(())
    }
}

impl<S> Clone for SplitHandle<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for SplitHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitHandle").finish_non_exhaustive()
    }
}

/// The present table and a number that changes with it.
pub(crate) struct Watch<S> {
    version: AtomicU64,
    current: Mutex<Arc<Table<S>>>,
    counter: SharedCounter,
}

impl<S> Watch<S> {
    pub(crate) fn new(table: Table<S>, counter: SharedCounter) -> Self {
        Self {
            version: AtomicU64::new(0),
            current: Mutex::new(Arc::new(table)),
            counter,
        }
    }

    fn turns(&self, shares: &[Share]) -> Arc<crate::counter::Turns> {
        self.counter.turns(shares)
    }

    fn set(&self, table: Table<S>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Arc::new(table));
        self.version.fetch_add(1, Ordering::Release);
        // Services may do anything when dropped; not under our lock.
        drop(current);
        drop(old);
    }

    fn latest(&self) -> (u64, Arc<Table<S>>) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (self.version.load(Ordering::Acquire), current.clone())
    }
}

/// A clone's own copy of the table, refreshed when its number is no longer the current one.
pub(crate) struct Local<S> {
    watch: Arc<Watch<S>>,
    version: u64,
    table: Arc<Table<S>>,
    /// The leaf that was called last, by its number. Most calls go to one leaf as a rule, and a
    /// clone for each of them would cost more than the choice.
    called: Option<(usize, S)>,
}

impl<S> Local<S> {
    pub(crate) fn new(watch: Watch<S>) -> Self {
        let (version, table) = watch.latest();
        Self {
            watch: Arc::new(watch),
            version,
            table,
            called: None,
        }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch<S>> {
        &self.watch
    }

    /// The table to choose from now.
    pub(crate) fn table(&mut self) -> &Table<S> {
        if self.watch.version.load(Ordering::Acquire) != self.version {
            (self.version, self.table) = self.watch.latest();
            self.called = None;
        }
        &self.table
    }
}

impl<S: Clone> Local<S> {
    /// A clone of the service of leaf `number`, in a place that it may stay in until the next
    /// call or be taken from.
    pub(crate) fn leaf(&mut self, number: usize) -> &mut Option<(usize, S)> {
        if !matches!(&self.called, Some((called, _)) if *called == number) {
            self.called = Some((number, self.table.service(number).clone()));
        }
        &mut self.called
    }
}

impl<S> Clone for Local<S> {
    fn clone(&self) -> Self {
        Self {
            watch: self.watch.clone(),
            version: self.version,
            table: self.table.clone(),
            called: None,
        }
    }
}
