//! Originals and grants of the last `ttl`, in slots, without a lock.
//!
//! Each slot is one word: the number of the slot it was last used for, and a count. So a word
//! left over from long ago is recognised as empty and never needs clearing, and after any
//! silence there is nothing to catch up with.
//! A grant is counted only in the newest slot, `head`, and only by replacing the slot's word
//! that was read for the sum: two threads with the same sum cannot both succeed. Before `head`
//! moves on, its word is sealed, so that pending grants fail. Originals need no such care, as a
//! missed one only refuses a retry.

use super::model::{AtomicU64, RING, SLOTS, hint};
use std::{array, sync::atomic::Ordering};

/// A slot's word: its number, whether it is closed to grants, and its count.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const COUNT_BITS: u32 = 24;
    /// A slot counts no further: 16 million originals of a shard are taken for all there were.
    const MAX_COUNT: u64 = (1 << Self::COUNT_BITS) - 1;
    const SEALED: u64 = 1 << Self::COUNT_BITS;
    /// 39 bits: at the shortest slot, 40 ms, enough for 696 years.
    const KEY_SHIFT: u32 = Self::COUNT_BITS + 1;

    fn new(key: u64, count: u64) -> Self {
        Self(key << Self::KEY_SHIFT | count)
    }

    fn key(self) -> u64 {
        self.0 >> Self::KEY_SHIFT
    }

    fn is_sealed(self) -> bool {
        self.0 & Self::SEALED != 0
    }

    fn sealed(self) -> Self {
        Self(self.0 | Self::SEALED)
    }

    /// The count, if the word is of slot `key`.
    fn count(self, key: u64) -> u64 {
        if self.key() == key {
            self.0 & Self::MAX_COUNT
        } else {
            0
        }
    }
}

/// The counts of originals and grants in the slots of one `ttl`.
pub(super) struct Window {
    newest: Newest,
    grants: Ring,
    /// Originals, by the thread that saw them: every request has one.
    originals: Box<[Ring]>,
}

/// Written once per slot and read with every call, so away from what is written more often.
#[repr(align(128))]
struct Newest {
    head: AtomicU64,
    /// Sums of the slots before `head`, kept as [`Word`]s of `head`.
    past_originals: AtomicU64,
    past_grants: AtomicU64,
}

#[repr(align(128))]
struct Ring([AtomicU64; RING as usize]);

impl Window {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            newest: Newest {
                head: AtomicU64::new(0),
                past_originals: AtomicU64::new(0),
                past_grants: AtomicU64::new(0),
            },
            grants: Ring::new(),
            originals: (0..shards.max(1)).map(|_| Ring::new()).collect(),
        }
    }

    /// Counts an original in slot `key`, in the shard of this thread.
    pub(super) fn deposit(&self, thread: usize, key: u64) {
        let slot = self.originals[thread % self.originals.len()].at(key);
        let mut word = Word(slot.load(Ordering::Relaxed));
        loop {
            let count = word.count(key);
            // A full slot, or an original so late that its slot has been used again.
            if count == Word::MAX_COUNT || word.key() > key {
                return;
            }
            let next = Word::new(key, count + 1);
            match slot.compare_exchange_weak(word.0, next.0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(actual) => word = Word(actual),
            }
        }
        if key < self.newest.head.load(Ordering::Relaxed) {
            // A thread with an older clock: the sum kept for `head` lacks its original.
            self.newest.past_originals.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a grant in slot `key`, or in the newest, if `law(originals, grants)` holds with
    /// that grant included.
    pub(super) fn withdraw(
        &self,
        key: u64,
        grant_slots: u64,
        law: impl Fn(u64, u64) -> bool,
    ) -> bool {
        let mut key = key;
        loop {
            let head = self.newest.head.load(Ordering::Acquire);
            if key > head {
                self.advance(head, key);
                continue;
            }
            let slot = self.grants.at(head);
            let word = Word(slot.load(Ordering::Acquire));
            if word.key() > head {
                hint::spin_loop(); // `head` has moved on, or is about to
                continue;
            }
            if word.key() == head && word.is_sealed() {
                // Another thread is moving `head` to a later time. Continue with that slot.
                key = head + 1;
                continue;
            }
            let count = word.count(head);
            let (originals, grants) = self.counted(head, grant_slots);
            if count == Word::MAX_COUNT || !law(originals, grants + count + 1) {
                return false;
            }
            let next = Word::new(head, count + 1);
            if slot
                .compare_exchange(word.0, next.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return true;
            }
        }
    }

    /// The newest slot in which anything was counted.
    pub(super) fn newest(&self) -> u64 {
        let head = self.newest.head.load(Ordering::Acquire);
        self.originals.iter().map(Ring::newest).fold(head, u64::max)
    }

    /// Counts in slot `key`, far beyond `newest`, what `owed(originals, grants)` makes of the
    /// slots up to now.
    pub(super) fn carry(
        &self,
        newest: u64,
        key: u64,
        grant_slots: u64,
        owed: impl Fn(u64, u64) -> u64,
    ) {
        let slot = self.grants.at(key);
        loop {
            let before = slot.load(Ordering::Acquire);
            let head = self.newest.head.load(Ordering::Acquire);
            if head >= key {
                return;
            }
            if head < newest {
                self.advance(head, newest);
                continue;
            }
            self.seal(head);
            let (originals, grants) = self.counted(head, grant_slots);
            let owed = owed(originals, grants + self.grants.load(head).count(head));
            // Written before `head` arrives there, so that no thread sees the slot empty; and
            // only over the counted value, as `head` may have moved into this very word meanwhile.
            let word = Word::new(key, owed.min(Word::MAX_COUNT));
            let written =
                slot.compare_exchange(before, word.0, Ordering::AcqRel, Ordering::Relaxed);
            if written.is_ok() && self.move_head(head, key) {
                return;
            }
        }
    }

    fn advance(&self, head: u64, key: u64) {
        self.seal(head);
        // The first thread wins; the others read again.
        self.move_head(head, key);
    }

    fn move_head(&self, head: u64, key: u64) -> bool {
        self.newest
            .head
            .compare_exchange(head, key, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Closes slot `head` to grants, for ever.
    fn seal(&self, head: u64) {
        let slot = self.grants.at(head);
        let mut word = Word(slot.load(Ordering::Acquire));
        while word.key() < head || (word.key() == head && !word.is_sealed()) {
            let sealed = Word::new(head, word.count(head)).sealed();
            match slot.compare_exchange(word.0, sealed.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(actual) => word = Word(actual),
            }
        }
    }

    /// Originals up to and with slot `head`, and grants before it.
    fn counted(&self, head: u64, grant_slots: u64) -> (u64, u64) {
        let now: u64 = (self.originals.iter())
            .map(|ring| ring.load(head).count(head))
            .sum();
        let originals = Word(self.newest.past_originals.load(Ordering::Acquire));
        let grants = Word(self.newest.past_grants.load(Ordering::Acquire));
        if originals.key() == head && grants.key() == head {
            return (now + originals.count(head), grants.count(head));
        }
        let originals: u64 = (self.originals.iter())
            .map(|ring| ring.sum(head, SLOTS - 1))
            .sum();
        let grants = self.grants.sum(head, grant_slots);
        // Sums too large for a word are added up each time.
        if originals <= Word::MAX_COUNT && grants <= Word::MAX_COUNT {
            let word = |sum| Word::new(head, sum).0;
            let newest = &self.newest;
            newest
                .past_originals
                .store(word(originals), Ordering::Release);
            newest.past_grants.store(word(grants), Ordering::Release);
        }
        (now + originals, grants)
    }
}

impl Ring {
    fn new() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }

    fn at(&self, key: u64) -> &AtomicU64 {
        &self.0[(key % RING) as usize]
    }

    fn load(&self, key: u64) -> Word {
        Word(self.at(key).load(Ordering::Acquire))
    }

    /// The counts of so many slots before `head`.
    fn sum(&self, head: u64, slots: u64) -> u64 {
        let first = head.saturating_sub(slots);
        (first..head).map(|key| self.load(key).count(key)).sum()
    }

    fn newest(&self) -> u64 {
        (0..RING).map(|i| self.load(i).key()).max().unwrap_or(0)
    }
}
