use futures_util::task::AtomicWaker;
use std::{
    cell::Cell,
    sync::Arc,
    task::{Context, Wake, Waker},
};

/// Wakes the task that has a connection when its socket has news, and for that only.
///
/// hyper wakes whoever polled a connection last also when a request is handed to it, or a piece of a
/// response taken. The task that does so is about to poll the connection anyway: it would run twice,
/// and the one that had the connection before it would, too, for nothing.
pub(super) struct Wakeup {
    task: Arc<Task>,
    /// The same, as a waker.
    waker: Waker,
}

#[derive(Default)]
struct Task(AtomicWaker);

thread_local! {
    /// Of the thread, so that what another one has to say is heard.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

impl Wakeup {
    pub(super) fn new() -> Self {
        let task = Arc::<Task>::default();
        Self {
            waker: task.clone().into(),
            task,
        }
    }

    /// Polls with what wakes the task of `cx`.
    pub(super) fn poll<T>(&self, cx: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.task.0.register(cx.waker());
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Does what wakes nobody: afterwards the connection is polled by who does it.
    pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
        struct Quiet(bool);

        impl Drop for Quiet {
            fn drop(&mut self) {
                IS_QUIET.set(self.0);
            }
        }

        let _quiet = Quiet(IS_QUIET.replace(true));
        work()
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !IS_QUIET.get() {
            self.0.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn the_last_task_is_woken_but_not_by_itself() {
        let (wakeup, counts) = (Wakeup::new(), [(); 2].map(|()| Arc::<Count>::default()));
        let counted = || counts.clone().map(|count| count.0.load(SeqCst));
        let polled_by = |n: usize| {
            let waker = Waker::from(counts[n].clone());
            wakeup.poll(&Context::from_waker(&waker), |cx| cx.waker().clone())
        };
        polled_by(0);
        let waker = polled_by(1);
        Wakeup::quietly(|| {
            Wakeup::quietly(|| waker.wake_by_ref());
            waker.wake_by_ref();
        });
        assert_eq!(counted(), [0, 0]);
        waker.wake_by_ref();
        assert_eq!(counted(), [0, 1]);
        polled_by(0);
        Wakeup::quietly(|| std::thread::scope(|s| drop(s.spawn(|| waker.wake_by_ref()))));
        assert_eq!(counted(), [1, 1]);
    }

    #[test]
    fn a_panic_does_not_silence_what_comes_after_it() {
        let panicked = std::panic::catch_unwind(|| Wakeup::quietly(|| panic!("in between")));
        assert!(panicked.is_err());
        assert!(!IS_QUIET.get());
    }
}
