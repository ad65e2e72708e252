use crate::mock::Shared;
use std::{sync::Arc, task::Waker};

/// One of the mock's permits; given back when dropped.
pub(crate) struct Permit(pub(crate) Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = self.0.lock().give_back();
        waiting.iter().for_each(Waker::wake_by_ref);
    }
}

/// Proof that something of an exchange is alive.
pub(crate) struct Token(
    #[expect(dead_code, reason = "it counts by being there")] pub(crate) Arc<()>,
);
