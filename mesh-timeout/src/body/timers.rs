use crate::{Elapsed, Phase, head::Limit};
use mesh_core::BoxError;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// State that the two bodies of an exchange share.
#[derive(Debug)]
pub(super) struct SharedProgress {
    start: Instant,
    /// Time of the last frame of either body, in nanoseconds after `start`.
    last: AtomicU64,
    /// True after the exchange has failed.
    is_over: AtomicBool,
    /// Waker of the task that waits for the request body's next frame.
    uploader: Mutex<Option<Waker>>,
}

impl SharedProgress {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            uploader: Mutex::new(None),
        }
    }

    pub(super) fn note(&self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.fetch_max(nanos, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    /// Ready when the request body will get no further frame.
    pub(super) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut uploader = self.uploader.lock().unwrap_or_else(PoisonError::into_inner);
        // Set before the lock is taken there.
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        match &mut *uploader {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn give_up(&self) {
        self.is_over.store(true, Ordering::Release);
        let mut uploader = self.uploader.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = uploader.take();
        drop(uploader);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Timers of a body, in addition to its next frame. They are boxed, and made on the first wait.
#[derive(Debug)]
pub(super) struct Timers {
    limit: Option<Limit>,
    limit_sleep: Option<Pin<Box<Sleep>>>,
    idle: Option<Duration>,
    idle_sleep: Option<Pin<Box<Sleep>>>,
    /// Begin of the wait for the next frame.
    waiting_since: Option<Instant>,
    has_failed: bool,
    both: Arc<SharedProgress>,
}

impl Timers {
    pub(super) fn new(
        limit: Option<Limit>,
        idle: Option<Duration>,
        both: Arc<SharedProgress>,
    ) -> Self {
        Self {
            limit,
            limit_sleep: None,
            idle,
            idle_sleep: None,
            waiting_since: None,
            has_failed: false,
            both,
        }
    }

    /// Returns the error if the exchange has taken too long already. It needs no timer.
    pub(super) fn passed(&self) -> Option<BoxError> {
        let limit = self.limit.filter(|limit| limit.at <= Instant::now())?;
        Some(limit.elapsed.into())
    }

    /// Ready when the exchange has taken too long.
    pub(super) fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let Some(limit) = &self.limit else {
            return Poll::Pending;
        };
        let sleep = self
            .limit_sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(limit.at)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(limit.elapsed.into())
    }

    /// Ready when the gap has become too long.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let Some(limit) = self.idle else {
            return Poll::Pending;
        };
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        // A limit beyond the clock's range never ends.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        let ends = |both: &SharedProgress| since.max(both.last()) + limit.min(CENTURY);
        loop {
            // A frame of the other body moves the instant while we sleep.
            let at = ends(&self.both);
            let sleep = self
                .idle_sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            ready!(sleep.as_mut().poll(cx));
            if ends(&self.both) <= at {
                return Poll::Ready(Elapsed::new(Phase::Idle, limit).into());
            }
        }
    }

    pub(super) fn frame_passed(&mut self) {
        if self.idle.is_some() {
            self.both.note();
            self.waiting_since = None;
        }
    }

    /// Marks the exchange as failed, so that both bodies end.
    pub(super) fn fail(&mut self) {
        self.has_failed = true;
        self.both.give_up();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }
}
