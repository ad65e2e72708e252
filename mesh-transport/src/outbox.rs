use crate::{Flusher, Meter};
use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};
use tokio::{io::AsyncWrite as _, net::tcp::OwnedWriteHalf, runtime::Handle, task::AbortHandle};

/// The writing half of a socket whose small writes wait for the end of the turn.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// There is a `rest`, or something `failed`: asked more often than it is so.
    is_held_up: AtomicBool,
    flusher: Arc<Flusher>,
    meter: Arc<Meter>,
}

#[derive(Debug)]
struct State {
    /// Absent once the socket is closed.
    half: Option<OwnedWriteHalf>,
    /// Taken from the writer and not yet by the socket. If there are any, then either the flusher
    /// knows of them or `rest` does.
    bytes: Vec<u8>,
    /// The flusher knows that there are bytes.
    queued: bool,
    /// The socket took no more: a task waits until it does.
    rest: Option<AbortHandle>,
    /// The task to wake when that one begins, and when it ends.
    waiting: Option<Waker>,
    /// The error of a write for which no writer waited.
    failed: Option<io::Error>,
}

/// Bytes that may wait. More is worth a system call of its own.
pub(crate) const MOST: usize = 16 * 1024;

impl Outbox {
    pub(crate) fn new(half: OwnedWriteHalf, flusher: Arc<Flusher>, meter: Arc<Meter>) -> Arc<Self> {
        let state = State {
            half: Some(half),
            bytes: Vec::new(),
            queued: false,
            rest: None,
            waiting: None,
            failed: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            is_held_up: AtomicBool::new(false),
            flusher,
            meter,
        })
    }

    /// Takes all of `bufs`, for the end of the turn, or writes what the socket takes of them.
    pub(crate) fn poll_write(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        ready!(state.poll_clear(cx))?;
        let more: usize = bufs.iter().map(|buf| buf.len()).sum();
        if state.bytes.len() + more > MOST {
            ready!(self.poll_out(&mut state, cx))?;
        }
        if more > MOST {
            let half = state.half()?;
            let written = ready!(Pin::new(half).poll_write_vectored(cx, bufs))?;
            self.meter.add_written(written);
            return Poll::Ready(Ok(written));
        }
        if !state.queued {
            state.queued = true;
            state.waiting = Some(cx.waker().clone());
            state.bytes = self.flusher.end_with(self.clone());
        }
        for buf in bufs {
            state.bytes.extend_from_slice(buf);
        }
        Poll::Ready(Ok(more))
    }

    /// Ready while whatever was taken is certain to be written without any doing of the writer.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_held_up.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state();
        let flushed = state.poll_clear(cx);
        self.is_held_up.store(flushed.is_pending(), Relaxed);
        flushed
    }

    pub(crate) fn poll_shutdown(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(state.poll_clear(cx))?;
        ready!(self.poll_out(&mut state, cx))?;
        Pin::new(state.half()?).poll_shutdown(cx)
    }

    /// The end of a turn; the buffer, if it is not needed any more.
    pub(crate) fn flush(self: &Arc<Self>) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.queued = false;
        if state.rest.is_some() {
            return None;
        }
        self.write(&mut state);
        if state.rest.is_none() {
            state.waiting = None;
        }
        state
            .bytes
            .is_empty()
            .then(|| std::mem::take(&mut state.bytes))
    }

    /// Closes the socket. What it does not take at once is lost.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        if let Some(rest) = state.rest.take() {
            rest.abort();
        }
        let Some(half) = state.half.take() else {
            return;
        };
        if !state.bytes.is_empty()
            && let Ok(written) = half.try_write(&state.bytes)
        {
            self.meter.add_written(written);
        }
        state.bytes = Vec::new();
        // Closing says enough.
        half.forget();
    }

    /// Ready when nothing waits any more.
    fn poll_out(self: &Arc<Self>, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(state);
        state.poll_clear(cx)
    }

    /// Writes what waits; the socket may leave a rest of it to a task.
    fn write(self: &Arc<Self>, state: &mut State) {
        while let Some(half) = &state.half
            && !state.bytes.is_empty()
        {
            match half.try_write(&state.bytes) {
                Ok(written) => {
                    self.meter.add_written(written);
                    state.took(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.leave_rest(state);
                }
                Err(error) => self.fail(state, error),
            }
        }
    }

    /// Has a task write the rest, as the writer need not come again.
    fn leave_rest(self: &Arc<Self>, state: &mut State) {
        let Ok(runtime) = Handle::try_current() else {
            // The runtime ends.
            return self.fail(state, ErrorKind::ConnectionAborted.into());
        };
        let outbox = self.clone();
        let rest = std::future::poll_fn(move |cx| outbox.poll_rest(cx));
        state.rest = Some(runtime.spawn(rest).abort_handle());
        self.is_held_up.store(true, Relaxed);
        // It thinks that all is written: it may not want to wait for a peer that does not read.
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
    }

    fn fail(&self, state: &mut State, error: io::Error) {
        state.bytes.clear();
        state.failed = Some(error);
        self.is_held_up.store(true, Relaxed);
    }

    fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let state = &mut *state;
        while let Some(half) = &mut state.half
            && !state.bytes.is_empty()
        {
            match ready!(Pin::new(half).poll_write(cx, &state.bytes)) {
                Ok(written) => {
                    self.meter.add_written(written);
                    state.took(written);
                }
                Err(error) => self.fail(state, error),
            }
        }
        state.rest = None;
        state.bytes = Vec::new();
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
        Poll::Ready(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ready unless a task is still writing a rest.
    fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.rest.is_some() {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, written: usize) {
        match written == self.bytes.len() {
            true => self.bytes.clear(),
            false => drop(self.bytes.drain(..written)),
        }
    }

    fn half(&mut self) -> io::Result<&mut OwnedWriteHalf> {
        self.half.as_mut().ok_or(ErrorKind::NotConnected.into())
    }
}
