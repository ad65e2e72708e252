//! Reuse of the extensions of finished requests, which saves two allocations per request.

use http::{Extensions, Request};
use std::cell::RefCell;

/// As many lie ready as there are requests under way at a time, as a rule.
const READY: usize = 64;

thread_local! {
    static EMPTIED: RefCell<Vec<Extensions>> = const { RefCell::new(Vec::new()) };
}

/// Gives `req` an emptied allocation for extensions, if it has none yet.
pub(crate) fn insert_reused<B>(req: &mut Request<B>) {
    if req.extensions().is_empty() {
        let emptied = EMPTIED.try_with(|all| all.borrow_mut().pop());
        *req.extensions_mut() = emptied.ok().flatten().unwrap_or_default();
    }
}

/// Empties `extensions` for another request.
pub(crate) fn reuse(mut extensions: Extensions) {
    // Outside, as what is dropped might come here.
    extensions.clear();
    // A thread that is ending keeps nothing.
    let _ = EMPTIED.try_with(|all| {
        let mut all = all.borrow_mut();
        if all.len() < READY {
            all.push(extensions);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_again_is_empty_and_what_is_there_stays() {
        let mut used = Extensions::new();
        used.insert(7_u8);
        reuse(used);
        let mut req = Request::new(());
        insert_reused(&mut req);
        assert!(req.extensions().is_empty());
        req.extensions_mut().insert(8_u8);
        reuse(Extensions::new());
        insert_reused(&mut req);
        assert_eq!(req.extensions().get(), Some(&8_u8));
    }

    #[test]
    fn no_more_lie_ready_than_are_of_use() {
        for _ in 0..2 * READY {
            reuse(Extensions::new());
        }
        assert_eq!(EMPTIED.with(|all| all.borrow().len()), READY);
    }
}
