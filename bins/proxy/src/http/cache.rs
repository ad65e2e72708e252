use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use mesh_core::{BoxError, Fault};
use std::{
    collections::HashMap,
    error::Error,
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::{Instant, timeout_at},
};
use tower_service::Service;

/// The destinations of one worker by authority, each with its stack and the task that keeps it
/// up to date. Bounded; one that is not used any more is forgotten.
pub(crate) struct Cache<S> {
    slots: Arc<Mutex<Slots<S>>>,
    limit: usize,
}

type Slots<S> = HashMap<Box<str>, Slot<S>>;

struct Slot<S> {
    entry: Arc<Entry<S>>,
    follower: AbortHandle,
}

impl<S> Drop for Slot<S> {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// A destination: its stack, once it is known what it is.
pub(crate) struct Entry<S> {
    stack: watch::Sender<State<S>>,
    used: AtomicBool,
}

/// Requests call the stack where it is, under its lock, rather than cloning it: a call only
/// builds a future, and nobody else is on this worker while it does.
type Shared<S> = Arc<Mutex<S>>;

/// The stack's answer, or, which is rare, the wait for the stack and for that.
pub(crate) type Calling<S, R> = Either<
    <S as Service<R>>::Future,
    BoxFuture<'static, Result<<S as Service<R>>::Response, BoxError>>,
>;

enum State<S> {
    Waiting,
    Serving(Shared<S>),
    Failed(Arc<str>),
}

impl<S: Send + 'static> Cache<S> {
    /// Remembers at most `limit` destinations, each until it was unused for `idle`.
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        let slots = Arc::default();
        tokio::spawn(forget_unused(Arc::downgrade(&slots), idle));
        Self { slots, limit }
    }

    /// The destination called `authority`; `follow` starts the task that makes and updates it.
    ///
    /// When there are too many, another is forgotten for it, at best one that is not in use;
    /// requests under way to it go on.
    pub(crate) fn get(
        &self,
        authority: &str,
        follow: impl FnOnce(Arc<Entry<S>>) -> JoinHandle<()>,
    ) -> Arc<Entry<S>> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(authority) {
            if !slot.entry.used.load(Relaxed) {
                slot.entry.used.store(true, Relaxed);
            }
            return slot.entry.clone();
        }
        if slots.len() >= self.limit {
            let mut all = slots.iter();
            let unused = all.clone().find(|(_, s)| !s.entry.used.load(Relaxed));
            let victim = unused.or_else(|| all.next());
            if let Some(authority) = victim.map(|(authority, _)| authority.clone()) {
                slots.remove(&authority);
            }
        }
        let entry = Arc::new(Entry {
            stack: watch::Sender::new(State::Waiting),
            used: AtomicBool::new(true),
        });
        let follower = follow(entry.clone()).abort_handle();
        let slot = Slot {
            entry: entry.clone(),
            follower,
        };
        slots.insert(authority.into(), slot);
        entry
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what nobody asked for between two rounds.
async fn forget_unused<S>(slots: Weak<Mutex<Slots<S>>>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let Some(slots) = slots.upgrade() else {
            return;
        };
        lock(&slots).retain(|_, slot| slot.entry.used.swap(false, Relaxed));
    }
}

impl<S> Entry<S> {
    /// From now on requests go through `stack`; those under way stay where they are.
    pub(crate) fn serve(&self, stack: S) {
        let stack = Arc::new(Mutex::new(stack));
        self.stack.send_replace(State::Serving(stack));
    }

    /// From now on requests fail for this reason.
    pub(crate) fn fail(&self, reason: String) {
        self.stack.send_replace(State::Failed(reason.into()));
    }

    /// The stack, as soon as the destination is known.
    async fn stack(&self) -> Result<Shared<S>, Unresolved> {
        if let Some(known) = self.stack.borrow().known() {
            return known;
        }
        let mut changes = self.stack.subscribe();
        loop {
            if let Some(known) = changes.borrow_and_update().known() {
                return known;
            }
            if changes.changed().await.is_err() {
                return Err(Unresolved("its destination is gone".into()));
            }
        }
    }

    /// Sends `req` through the stack: at once, if it is known, so that the request is moved no
    /// more often than it must be. Only one that has to wait is asked `until` when that is worth
    /// its while.
    pub(crate) fn call<R>(
        self: &Arc<Self>,
        req: R,
        until: impl FnOnce(&R) -> Option<Instant>,
    ) -> Calling<S, R>
    where
        S: Service<R, Error = BoxError, Response: Send, Future: Send> + Send + 'static,
        R: Send + 'static,
    {
        if let State::Serving(stack) = &*self.stack.borrow() {
            let mut stack = lock(stack);
            // One that is not ready is asked again below, and that waker is the one it has.
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(Ok(())) = stack.poll_ready(&mut cx) {
                return Either::Left(stack.call(req));
            }
        }
        let until = until(&req);
        Either::Right(self.clone().call_later(req, until).boxed())
    }

    async fn call_later<R>(
        self: Arc<Self>,
        req: R,
        until: Option<Instant>,
    ) -> Result<S::Response, BoxError>
    where
        S: Service<R, Error = BoxError>,
    {
        let stack = match until {
            Some(until) => timeout_at(until, self.stack())
                .await
                .map_err(|_| TooLate)??,
            None => self.stack().await?,
        };
        let mut req = Some(req);
        // Layers that choose in `call` are always ready; if ever one is not, this waits its turn.
        let response = poll_fn(|cx| {
            let mut stack = lock(&stack);
            stack.poll_ready(cx).map_ok(|()| {
                let req = req.take().expect("called once");
                stack.call(req)
            })
        })
        .await?;
        response.await
    }
}

impl<S> State<S> {
    fn known(&self) -> Option<Result<Shared<S>, Unresolved>> {
        match self {
            Self::Waiting => None,
            Self::Serving(stack) => Some(Ok(stack.clone())),
            Self::Failed(reason) => Some(Err(Unresolved(reason.clone()))),
        }
    }
}

/// A destination that exists neither in the mesh nor in DNS.
#[derive(Debug)]
pub(crate) struct Unresolved(Arc<str>);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unresolved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // No connection could be made.
        Some(&Fault::Refused)
    }
}

/// The caller's deadline passed before it was known where its request goes.
#[derive(Debug)]
struct TooLate;

impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the caller's deadline passed before the destination was known")
    }
}

impl Error for TooLate {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(cache: &Cache<()>, authority: &str) -> Arc<Entry<()>> {
        cache.get(authority, |_| tokio::spawn(std::future::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_forgotten_and_its_follower_ends() {
        let cache = Cache::new(10, Duration::from_secs(60));
        let (followed, follower) = tokio::sync::oneshot::channel::<()>();
        let first = cache.get("a", |_| {
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(followed);
            })
        });
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert!(Arc::ptr_eq(&first, &get(&cache, "a")));
        assert!(follower.await.is_err());
        assert!(!Arc::ptr_eq(&first, &get(&cache, "a")));
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_too_many_and_one_in_use_goes_last() {
        let cache = Cache::new(2, Duration::from_secs(60));
        get(&cache, "unused");
        tokio::time::sleep(Duration::from_secs(61)).await;
        let used = get(&cache, "used");
        get(&cache, "new");
        assert_eq!(lock(&cache.slots).len(), 2);
        assert!(Arc::ptr_eq(&used, &get(&cache, "used")));
        for n in 0..10 {
            get(&cache, &n.to_string());
        }
        assert_eq!(lock(&cache.slots).len(), 2);
    }
}
