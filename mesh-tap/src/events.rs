use crate::{Event, tap::Registry};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc::Receiver;

/// The events that a [`Filter`](crate::Filter) selects, as they happen.
///
/// Dropping it ends the subscription.
pub struct Events {
    receiver: Receiver<Event>,
    registry: Arc<Registry>,
    base: u32,
    dropped: Arc<AtomicU64>,
}

impl Events {
    pub(crate) fn new(
        receiver: Receiver<Event>,
        registry: Arc<Registry>,
        base: u32,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self {
            receiver,
            registry,
            base,
            dropped,
        }
    }

    /// The next event; `None` once there will be none: the filter's limit was reached and every
    /// exchange it selected is over.
    ///
    /// Cancel safe: an event is either returned or still waiting.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, if one is waiting.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// Polls for the next event, as [`next`](Self::next) does.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.receiver.poll_recv(cx)
    }

    /// Returns the number of events that were dropped as too many were waiting. An exchange whose
    /// request was dropped counts once, and has no further events.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.registry.unsubscribe(self.base);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("base", &self.base)
            .field("waiting", &self.receiver.len())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
