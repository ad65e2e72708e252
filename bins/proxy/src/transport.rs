use bytes::{Buf, Bytes};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What the connections of one worker, one direction and one side carried: the `tcp_*` families.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    opened: AtomicU64,
    closed: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// What a [`Meter`] says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Meter {
    pub(crate) fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn close(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        // Closed first: a connection that ends between the two loads must not make the gauge
        // of open ones negative.
        let closed = self.closed.load(Relaxed);
        Reading {
            opened: self.opened.load(Relaxed),
            closed,
            read: self.read.load(Relaxed),
            written: self.written.load(Relaxed),
        }
    }
}

impl std::ops::AddAssign for Reading {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.read += other.read;
        self.written += other.written;
    }
}

/// A socket whose bytes are counted, and whose first bytes may have been read already.
#[derive(Debug)]
pub(crate) struct Io {
    socket: TcpStream,
    /// Read while detecting the protocol; handed out before anything else.
    prefix: Bytes,
    meter: Arc<Meter>,
}

impl Io {
    pub(crate) fn new(socket: TcpStream, meter: Arc<Meter>) -> Self {
        meter.open();
        Self {
            socket,
            prefix: Bytes::new(),
            meter,
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.socket.peer_addr()
    }

    /// Waits until the other side has said something; `false` if that is the end.
    pub(crate) async fn speaks(&self) -> io::Result<bool> {
        // Of readiness there are false alarms.
        Ok(self.socket.peek(&mut [0]).await? > 0)
    }

    /// Puts back what was read from it.
    pub(crate) fn unread(&mut self, prefix: Bytes) {
        debug_assert!(self.prefix.is_empty(), "read while bytes were put back");
        self.prefix = prefix;
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.meter.close();
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
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.meter.add_read(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, buf))?;
        self.meter.add_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        self.meter.add_written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
