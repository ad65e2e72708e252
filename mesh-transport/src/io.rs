use crate::{Flusher, Meter, outbox::Outbox};
use bytes::{Buf, Bytes};
use std::{
    any::Any,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, tcp::OwnedReadHalf},
    runtime::{Handle, RuntimeFlavor},
    task::coop,
};

/// A socket whose bytes are counted, and whose first bytes may have been read already.
#[derive(Debug)]
pub struct Io {
    socket: Socket,
    /// Read while detecting the protocol; handed out before anything else.
    prefix: Bytes,
    /// The waker that is woken when there is something to read.
    reader: Option<WakerId>,
    /// True if `reader` is reliable.
    remembers_reader: bool,
    open: Open,
    _guard: Guard,
}

/// Kept for as long as the socket.
struct Guard(Option<Box<dyn Any + Send + Sync>>);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

#[derive(Debug)]
enum Socket {
    /// Written to at once.
    Whole(TcpStream),
    /// Written to by the flusher.
    Split(Split),
}

#[derive(Debug)]
struct Split {
    read: OwnedReadHalf,
    outbox: Arc<Outbox>,
}

/// The waker that the socket was last left with.
///
/// hyper asks for more to read several times for each request, mostly in vain, and leaving a waker
/// takes a lock each time. That waker stays until the socket is ready, so that one which looks the
/// same is the same. This holds where sockets become ready on the thread of the task, so only on a
/// current-thread runtime is a waker remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WakerId(usize, usize);

impl WakerId {
    fn of(cx: &Context<'_>) -> Self {
        let waker = cx.waker();
        Self(
            waker.data().addr(),
            std::ptr::from_ref(waker.vtable()).addr(),
        )
    }
}

/// A connection that counts as open.
#[derive(Debug)]
struct Open(Arc<Meter>);

impl Io {
    /// Counts `socket` in `meter`, as open until this is dropped.
    pub fn new(socket: TcpStream, meter: Arc<Meter>) -> Self {
        meter.open();
        Self {
            socket: Socket::Whole(socket),
            prefix: Bytes::new(),
            reader: None,
            remembers_reader: is_single_threaded(),
            open: Open(meter),
            _guard: Guard(None),
        }
    }

    /// Keeps `guard` until the socket is closed, also when its connection becomes a tunnel.
    #[must_use]
    pub fn holding(self, guard: impl Any + Send + Sync) -> Self {
        Self {
            _guard: Guard(Some(Box::new(guard))),
            ..self
        }
    }

    /// Leaves small writes to `flusher`.
    #[must_use]
    pub fn with_flusher(self, flusher: &Arc<Flusher>) -> Self {
        let socket = match self.socket {
            Socket::Whole(socket) => {
                let (read, write) = socket.into_split();
                let outbox = Outbox::new(write, flusher.clone(), self.open.0.clone());
                Socket::Split(Split { read, outbox })
            }
            split => split,
        };
        Self { socket, ..self }
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The socket is not connected any more.
    pub fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.socket().peer_addr()
    }

    /// Returns true if the socket has an error to report, as after an RST, and clears it.
    pub fn has_failed(&self) -> bool {
        matches!(self.socket().take_error(), Ok(Some(_)))
    }

    /// Waits until the peer has sent something; `false` if it has closed its side instead.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn has_spoken(&self) -> io::Result<bool> {
        // Of readiness there are false alarms.
        Ok(!self.prefix.is_empty() || self.socket().peek(&mut [0]).await? > 0)
    }

    /// Ready when there is something to read: with `true` if it is the end of what the peer sends.
    /// Nothing is read.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.prefix.is_empty() {
            return Poll::Ready(Ok(false));
        }
        if self.reader == Some(WakerId::of(cx)) && !self.may_be_read() {
            return Poll::Pending;
        }
        let polled = self.socket().poll_peek(cx, &mut ReadBuf::new(&mut [0]));
        self.remember_reader(polled.is_pending(), cx);
        polled.map_ok(|read| read == 0)
    }

    fn remember_reader(&mut self, is_pending: bool, cx: &Context<'_>) {
        // A task that has had its share, maybe just now, is told to come again, and leaves no waker.
        let has_share = coop::has_budget_remaining();
        self.reader = (is_pending && has_share && self.remembers_reader).then(|| WakerId::of(cx));
    }

    /// Returns true if there may be something to read; costs less than a read.
    fn may_be_read(&self) -> bool {
        let asked = self.socket().try_io(Interest::READABLE, || Ok(()));
        !matches!(asked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn socket(&self) -> &TcpStream {
        match &self.socket {
            Socket::Whole(socket) => socket,
            Socket::Split(split) => split.read.as_ref(),
        }
    }

    /// Puts back what was read from it; it is read again before anything else.
    pub fn unread(&mut self, prefix: Bytes) {
        debug_assert!(self.prefix.is_empty(), "read while bytes were put back");
        self.prefix = prefix;
    }
}

fn is_single_threaded() -> bool {
    Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let take = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix[..take]);
            self.prefix.advance(take);
            if self.prefix.is_empty() {
                // Even an empty rest holds on to all of the memory.
                self.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.reader == Some(WakerId::of(cx)) && !self.may_be_read() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = match &mut self.socket {
            Socket::Whole(socket) => Pin::new(socket).poll_read(cx, buf),
            Socket::Split(split) => Pin::new(&mut split.read).poll_read(cx, buf),
        };
        self.remember_reader(polled.is_pending(), cx);
        ready!(polled)?;
        let read = buf.filled().len() - before;
        self.open.0.add_read(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
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
        match &mut self.socket {
            Socket::Whole(socket) => {
                let written = ready!(Pin::new(socket).poll_write_vectored(cx, bufs))?;
                self.open.0.add_written(written);
                Poll::Ready(Ok(written))
            }
            Socket::Split(split) => split.outbox.poll_write(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Whole(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Split(split) => split.outbox.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Whole(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Split(split) => split.outbox.poll_shutdown(cx),
        }
    }
}
