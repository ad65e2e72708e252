use crate::outbox::Outbox;
use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Poll, Waker},
};

/// Gathers what the connections of one runtime write while its tasks have their turns, and hands
/// all of it to the kernel when each of them had one.
///
/// A connection that writes in small pieces, as HTTP/2 does, then needs one system call for all of
/// them. And the peers are woken one after the other, not each between two requests that are still
/// to be read: waking a sleeping process is a good part of what a write costs.
pub struct Flusher(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    outboxes: Vec<Arc<Outbox>>,
    /// Emptied buffers, for the next ones to write.
    buffers: Vec<Vec<u8>>,
    task: Option<Waker>,
}

/// Emptied buffers that are kept.
const BUFFERS: usize = 64;

impl Flusher {
    /// Starts on the current runtime what writes at the end of a turn. It ends with the last
    /// reference to what this returns.
    ///
    /// A current-thread runtime runs its tasks in the order in which they were woken, so that the
    /// end of a turn comes when everything has run that was ready when the first one wrote.
    ///
    /// # Panics
    ///
    /// There is no current runtime.
    pub fn start() -> Arc<Self> {
        let flusher = Arc::new(Self(Mutex::default()));
        tokio::spawn(flush(Arc::downgrade(&flusher)));
        flusher
    }

    /// Has `outbox` flushed at the end of the turn; an empty buffer for what it is to write then.
    pub(crate) fn end_with(&self, outbox: Arc<Outbox>) -> Vec<u8> {
        let mut queue = self.queue();
        queue.outboxes.push(outbox);
        if queue.outboxes.len() == 1
            && let Some(task) = &queue.task
        {
            task.wake_by_ref();
        }
        queue.buffers.pop().unwrap_or_default()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes at the end of each turn, as long as there is a `flusher`.
async fn flush(flusher: Weak<Flusher>) {
    let (mut outboxes, mut emptied) = (Vec::new(), Vec::new());
    poll_fn(|cx| {
        let Some(flusher) = flusher.upgrade() else {
            return Poll::Ready(());
        };
        {
            let mut queue = flusher.queue();
            mem::swap(&mut queue.outboxes, &mut outboxes);
            if !queue.task.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                queue.task = Some(cx.waker().clone());
            }
        }
        for outbox in outboxes.drain(..) {
            if let Some(mut buffer) = outbox.flush()
                && emptied.len() < BUFFERS
            {
                buffer.clear();
                emptied.push(buffer);
            }
        }
        let mut queue = flusher.queue();
        let room = BUFFERS - queue.buffers.len();
        emptied.truncate(room);
        queue.buffers.append(&mut emptied);
        Poll::Pending
    })
    .await;
}

impl Drop for Flusher {
    fn drop(&mut self) {
        if let Some(task) = self.queue().task.take() {
            task.wake();
        }
    }
}

impl fmt::Debug for Flusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flusher").finish_non_exhaustive()
    }
}
