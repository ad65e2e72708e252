//! Proof that a peer closed a connection without reading the request that crossed its close.
//!
//! A peer that closes an unused connection looks like one that died of a request: both close right
//! after it was sent. TCP tells them apart. Bytes that arrive at a closed socket, or lie unread in
//! one that is being closed, are answered with RST. A process that has read all of the request, and
//! then ends, however it ends, sends FIN and no RST. Only a program that asks for an RST
//! (`SO_LINGER` of zero), or a load balancer that forgets a connection, says RST after reading.

use crate::Stream;
use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Time for the RST to follow the FIN: it takes one round trip.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// First pause before the socket is asked again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// State of a connection that its user and its socket share.
#[derive(Debug)]
pub(crate) struct Ending {
    created: Instant,
    /// Microseconds from `created` until the request was sent that has no answer yet; 0 if there
    /// is none, or if the connection was new.
    sent: AtomicU64,
    unread: AtomicBool,
    /// Requests sent over it, if they share it.
    pub(crate) requests: AtomicU64,
}

impl Ending {
    fn new() -> Self {
        Self {
            created: Instant::now(),
            sent: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        }
    }

    /// Looks for the proof if the connection ends soon after `sent`; `None` looks for nothing.
    pub(crate) fn expect(&self, sent: Option<Instant>) {
        let micros = sent.map_or(0, |sent| {
            let since = sent.saturating_duration_since(self.created).as_micros();
            u64::try_from(since).unwrap_or(u64::MAX).max(1)
        });
        self.sent.store(micros, Relaxed);
    }

    /// Returns true if the peer provably did not read the whole request.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Returns true if request `number` was the last one, and the peer did not read all of it.
    pub(crate) fn was_last(&self, number: u64) -> bool {
        self.is_unread() && self.requests.load(Relaxed) == number
    }

    /// The time left to look for the proof; `None` if nothing is looked for.
    fn time_left(&self, limit: Duration) -> Option<Duration> {
        let sent = match self.sent.load(Relaxed) {
            0 => return None,
            micros => self.created.checked_add(Duration::from_micros(micros))?,
        };
        limit
            .checked_sub(sent.elapsed())
            .filter(|left| !left.is_zero())
    }
}

/// A connection that looks for the proof when it ends.
pub(crate) struct Watched {
    stream: Stream,
    ending: Arc<Ending>,
    /// Time after a request within which its connection must end.
    limit: Duration,
    /// Set once the peer has said FIN.
    wait: Option<Wait>,
    /// Set once nothing can be written any more.
    deaf: Option<Deaf>,
}

/// A peer that reads nothing more. It may have answered before: that is read first, and what is
/// written in the meantime is dropped.
struct Deaf {
    error: ErrorKind,
    dropped: usize,
}

/// Bytes that are dropped before the write fails.
const MOST_DROPPED: usize = 16 * 1024 * 1024;

/// The wait for an RST.
struct Wait {
    end: Instant,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Watched {
    pub(crate) fn new(stream: Stream, limit: Duration) -> (Self, Arc<Ending>) {
        let ending = Arc::new(Ending::new());
        let watched = Self {
            stream,
            ending: ending.clone(),
            limit,
            wait: None,
            deaf: None,
        };
        (watched, ending)
    }

    /// Notes an error of the socket.
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && is_broken(error)
            && self.ending.time_left(self.limit).is_some()
        {
            self.ending.unread.store(true, Relaxed);
        }
        result
    }

    /// Drops `len` bytes for a peer that reads nothing more.
    fn drop_bytes(&mut self, len: usize, error: ErrorKind) -> io::Result<usize> {
        let deaf = self.deaf.get_or_insert(Deaf { error, dropped: 0 });
        deaf.dropped = deaf.dropped.saturating_add(len);
        match deaf.dropped > MOST_DROPPED {
            true => Err(deaf.error.into()),
            false => Ok(len),
        }
    }

    /// The end of what can be read: the error of the write, unless the peer has said FIN before.
    fn end(&self) -> io::Result<()> {
        match &self.deaf {
            Some(deaf) if deaf.error != ErrorKind::BrokenPipe => Err(deaf.error.into()),
            _ => Ok(()),
        }
    }

    /// Ready when the proof is there, or will not come any more.
    fn poll_proof(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.ending.is_unread() || self.stream.has_failed() {
                self.ending.unread.store(true, Relaxed);
                return Poll::Ready(());
            }
            let wait = match &mut self.wait {
                Some(wait) => wait,
                None => {
                    let Some(left) = self.ending.time_left(self.limit) else {
                        return Poll::Ready(());
                    };
                    self.wait.insert(Wait {
                        end: Instant::now() + left.min(ROUND_TRIP),
                        pause: FIRST_PAUSE,
                        timer: Box::pin(sleep(FIRST_PAUSE)),
                    })
                }
            };
            if Instant::now() >= wait.end {
                return Poll::Ready(());
            }
            ready!(wait.timer.as_mut().poll(cx));
            wait.pause *= 2;
            let next = Instant::now() + wait.pause;
            wait.timer.as_mut().reset(next.min(wait.end));
        }
    }
}

/// Returns true if the peer said RST.
fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.wait.is_none() {
            let before = buf.filled().len();
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
            this.note(read)?;
            if buf.filled().len() > before || buf.remaining() == 0 {
                // Who answers has read the request.
                this.ending.expect(None);
                return Poll::Ready(Ok(()));
            }
            if this.ending.time_left(this.limit).is_none() {
                return Poll::Ready(this.end());
            }
        }
        this.poll_proof(cx).map(|()| this.end())
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = || bufs.iter().map(|buf| buf.len()).sum();
        if let Some(deaf) = &self.deaf {
            let error = deaf.error;
            return Poll::Ready(self.drop_bytes(len(), error));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(match self.note(written) {
            Err(error) if is_broken(&error) => self.drop_bytes(len(), error.kind()),
            written => written,
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf.is_some() {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(match self.note(flushed) {
            Err(error) if is_broken(&error) => self.drop_bytes(0, error.kind()).map(drop),
            flushed => flushed,
        })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
