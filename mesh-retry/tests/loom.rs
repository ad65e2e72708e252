//! Models the budget's lock-free window under every interleaving of its threads, with loom.

#[path = "../src/budget/window.rs"]
mod window;

use loom::{sync::Arc, thread};
use model::{RING, SLOTS};
use window::Window;

/// Loom's atomics, and fewer slots, as every access is a step of the model.
mod model {
    pub(crate) use loom::{hint, sync::atomic::AtomicU64};

    pub(crate) const SLOTS: u64 = 2;
    pub(crate) const RING: u64 = 4;
}

const FIRST: u64 = 2 * RING;

/// Runs every interleaving with at most two preemptions.
fn every_interleaving(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

/// Two threads whose clocks differ by a slot.
#[test]
fn no_interleaving_grants_more_than_the_law() {
    every_interleaving(|| {
        let window = Arc::new(Window::new(1));
        window.deposit(0, FIRST);
        let law = |originals, grants| grants <= originals;
        let threads: Vec<_> = [FIRST, FIRST + 1]
            .into_iter()
            .map(|key| {
                let window = window.clone();
                thread::spawn(move || u64::from(window.withdraw(key, SLOTS, law)))
            })
            .collect();
        let granted: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(granted, 1);
    });
}

#[test]
fn an_original_counted_meanwhile_is_never_lost_for_good() {
    every_interleaving(|| {
        let window = Arc::new(Window::new(1));
        let law = |originals, grants| grants <= originals;
        let depositor = {
            let window = window.clone();
            thread::spawn(move || window.deposit(0, FIRST))
        };
        let early = u64::from(window.withdraw(FIRST, SLOTS, law));
        depositor.join().unwrap();
        let late = u64::from(window.withdraw(FIRST, SLOTS, law));
        assert_eq!(early + late, 1);
    });
}

#[test]
fn no_interleaving_of_a_new_ttl_forgets_a_grant() {
    every_interleaving(|| {
        let window = Arc::new(Window::new(1));
        let law = |_, grants| grants <= 1;
        let withdrawer = {
            let window = window.clone();
            thread::spawn(move || u64::from(window.withdraw(FIRST, SLOTS, law)))
        };
        let newest = window.newest().max(FIRST);
        window.carry(newest, FIRST + 2 * RING + 1, SLOTS, |_, grants| grants);
        let after = u64::from(window.withdraw(FIRST + 2 * RING + 1, SLOTS, law));
        assert_eq!(withdrawer.join().unwrap() + after, 1);
    });
}
