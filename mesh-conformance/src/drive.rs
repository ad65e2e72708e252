//! A task played by hand: it polls only when it was woken.

use crate::{
    Law,
    law::{BoxError, violated},
};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

/// More polls than this of one thing are a loop.
const MAX_POLLS: usize = 10_000;

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// One task, and how many polls it may still make.
pub(crate) struct Task {
    flag: Arc<Flag>,
    waker: Waker,
    steps: usize,
}

/// The error of a limit on polls; its caller drops the pending futures.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Task {
    pub(crate) fn new() -> Self {
        Self::of_steps(usize::MAX)
    }

    /// A task that stops after so many polls.
    pub(crate) fn of_steps(steps: usize) -> Self {
        let flag = Arc::<Flag>::default();
        Self {
            waker: flag.clone().into(),
            flag,
            steps,
        }
    }

    /// Polls once.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.flag.0.store(false, Relaxed);
        poll(&mut Context::from_waker(&self.waker))
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.flag.0.load(Relaxed)
    }

    /// Polls until ready, as often as it is woken.
    pub(crate) fn drive<T>(
        &mut self,
        what: &str,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Stopped> {
        for _ in 0..MAX_POLLS {
            self.steps = self.steps.checked_sub(1).ok_or(Stopped)?;
            match self.poll(&mut poll) {
                Poll::Ready(value) => return Ok(value),
                Poll::Pending if self.is_woken() => {}
                Poll::Pending => violated(
                    Law::Wakes,
                    format_args!("{what} is pending, and nobody will wake it"),
                ),
            }
        }
        violated(
            Law::Wakes,
            format_args!("{what} is still pending after {MAX_POLLS} polls"),
        )
    }

    /// Polls until pending without a wake-up.
    pub(crate) fn exhaust<T>(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        for _ in 0..MAX_POLLS {
            match self.poll(&mut poll) {
                Poll::Pending if self.is_woken() => {}
                poll => return poll,
            }
        }
        Poll::Pending
    }
}

/// The frames that were read of a body.
#[derive(Default)]
pub(crate) struct Frames {
    data: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    ended: bool,
}

impl Frames {
    pub(crate) fn data(&mut self) -> Bytes {
        std::mem::take(&mut self.data).into()
    }

    /// Reads a body as a server would: to the end that it states, and no further. Ready with
    /// the error that ended it, if one did.
    pub(crate) fn poll_read<B>(
        &mut self,
        mut body: Pin<&mut B>,
        what: &str,
        cx: &mut Context<'_>,
    ) -> Poll<Option<BoxError>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        while !self.ended && !body.is_end_stream() {
            let (lower, upper) = crate::exchange::bounds(&body.size_hint());
            let problem = |problem: &str| -> ! {
                violated(Law::KeepsBodies, format_args!("{what} {problem}"))
            };
            match ready!(body.as_mut().poll_frame(cx)) {
                None => self.ended = true,
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(error.into()));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => {
                        if upper.is_some_and(|upper| data.remaining() as u64 > upper) {
                            problem("gave more than its size hint allowed");
                        }
                        let after = body.size_hint().lower();
                        if after + (data.remaining() as u64) < lower {
                            problem("gave less than its size hint promised");
                        }
                        self.data
                            .extend_from_slice(&data.copy_to_bytes(data.remaining()));
                    }
                    Err(frame) => {
                        if self.trailers.is_some() {
                            problem("gave its trailers twice");
                        }
                        self.trailers = frame.into_trailers().ok();
                    }
                },
            }
        }
        Poll::Ready(None)
    }
}
