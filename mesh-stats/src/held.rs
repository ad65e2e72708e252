//! References to what is counted, as cheap as they can be had.

use super::table::Entry;
use std::{cell::RefCell, hash::Hasher, ops::Deref, sync::Arc};

/// A reference to an entry for as long as a request lasts.
#[derive(Debug)]
pub(super) struct Held(Option<Arc<Entry>>);

impl Held {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self(Some(entry))
    }

    /// The entry that `find` finds, unless this thread has just found it: that of the route which
    /// lives at `place`, in the table of this number.
    pub(super) fn find(table: u64, place: usize, find: impl Fn() -> Arc<Entry>) -> Self {
        let recent = RECENT.try_with(|recent| {
            // Dropping what was in the slot may run a classifier's code, which might come here.
            let mut recent = recent.try_borrow_mut().ok()?;
            let slot = recent.slot(table, place);
            if let Some(found) = slot
                && (found.table, found.place) == (table, place)
            {
                return found.entry();
            }
            let entry = find();
            *slot = Some(Found::new(table, place, entry.clone()));
            Some(entry)
        });
        Self::new(match recent {
            Ok(Some(entry)) => entry,
            _ => find(),
        })
    }
}

impl Deref for Held {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.0.as_ref().expect("it is given up when dropped")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A thread that is ending, or within this very function, keeps nothing. Nor is anything
        // dropped here, as that might run a classifier's code.
        let _ = RECENT.try_with(|recent| {
            let mut recent = recent.try_borrow_mut().ok()?;
            let entry = self.0.as_ref()?;
            let found = recent.slot(entry.table, entry.place).as_mut()?;
            if Arc::ptr_eq(found.entries.first()?, entry) && found.entries.len() < READY {
                found.entries.extend(self.0.take());
            }
            Some(())
        });
    }
}

/// The counters that this thread used last, by slot, so that it finds them without the lock.
///
/// Counters of dropped tables stay in it until they are replaced, some 100 kB at most.
struct Recent([Option<Found>; RECENT_SIZE]);

/// The routes in use at a time are few, whatever the profile has.
const RECENT_SIZE: usize = 64;

struct Found {
    table: u64,
    place: usize,
    /// At least one reference to the same entry. The others lie ready for the next requests: to
    /// count references up and down costs more than all that is counted of a request.
    entries: Vec<Arc<Entry>>,
}

/// Number of references kept ready: usually as many as a route has requests in flight, each counted
/// twice.
const READY: usize = 16;

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent([const { None }; RECENT_SIZE])) };
}

impl Recent {
    fn slot(&mut self, table: u64, place: usize) -> &mut Option<Found> {
        let mut hasher = PlaceHasher(table);
        hasher.write_usize(place);
        &mut self.0[hasher.finish() as usize % RECENT_SIZE]
    }
}

impl Found {
    fn new(table: u64, place: usize, entry: Arc<Entry>) -> Self {
        Self {
            table,
            place,
            entries: vec![entry],
        }
    }

    fn entry(&mut self) -> Option<Arc<Entry>> {
        match self.entries.as_slice() {
            [only] => Some(only.clone()),
            _ => self.entries.pop(),
        }
    }
}

/// Addresses are already distinct; spreading them is enough.
#[derive(Debug, Default)]
pub(super) struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, place: usize) {
        // Fibonacci hashing: the table looks at the high bits as well as at the low ones.
        let mixed = (self.0 ^ place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stats, exchange::Level, table::Table};
    use mesh_core::Route;

    #[test]
    fn references_lie_ready_for_the_next_requests_up_to_a_limit() {
        let (table, route) = (Table::default(), Route::new("a"));
        let held = |n| -> Vec<Held> { (0..n).map(|_| table.entry(Some(&route))).collect() };
        let references = |held: &Held| Arc::strong_count(held.0.as_ref().unwrap());

        let one = table.entry(Some(&route));
        let known = references(&one) - 1;
        drop(held(3));
        assert_eq!(references(&one), known + 1 + 3);
        drop(held(3));
        assert_eq!(references(&one), known + 1 + 3, "they were used again");
        drop(held(10 * READY));
        assert_eq!(references(&one), known + READY);
    }

    #[test]
    fn a_request_may_end_on_another_thread_and_after_its_table() {
        let table = Table::default();
        let route = Route::new("a");
        let (here, there) = (table.entry(Some(&route)), table.entry(Some(&route)));
        std::thread::spawn(move || drop(there)).join().unwrap();
        drop(table);
        here.series(Level::Effective).request();
        drop(here);
        Stats::new().retryable(&route, None);
    }
}
