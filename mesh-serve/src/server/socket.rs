use super::{
    frames::Frames,
    pulse::Pulse,
    refusal::{self, Texts},
    target::RequestLine,
};
use mesh_transport::Io;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// A client's socket that tells the pulse of its connection, and why it is refused.
pub(super) struct Socket {
    /// Absent only while this is dropped.
    io: Option<Io>,
    pulse: Arc<Pulse>,
    texts: Arc<Texts>,
    /// The frames that are read; HTTP/1 has none.
    frames: Option<Frames>,
    /// HTTP/1: the first line of the request.
    line: RequestLine,
    /// The rest of what hyper's own answer was replaced with.
    pending: Vec<u8>,
    /// The last write was taken in part: another one goes on in the middle of a frame.
    cut: bool,
    /// HTTP/1: time for a client to close its side behind a request.
    half_close: Duration,
    /// HTTP/1: the end of what the client sends need not be looked for before the next read.
    looked: bool,
    /// HTTP/1: the start of the wait for anything behind what was read last, and the number of the
    /// request.
    waiting: Option<(u32, Instant)>,
}

impl Socket {
    pub(super) fn new(io: Io, pulse: Arc<Pulse>, texts: Arc<Texts>, http2: bool) -> Self {
        Self {
            io: Some(io),
            pulse,
            frames: http2.then(Frames::new),
            line: RequestLine::default(),
            pending: Vec::new(),
            cut: false,
            half_close: texts.half_close(),
            texts,
            looked: false,
            waiting: None,
        }
    }

    /// The client's socket, which this has no more to say on.
    pub(super) fn into_io(mut self) -> Io {
        self.io.take().expect("is only taken when dropped")
    }

    fn io(&mut self) -> Pin<&mut Io> {
        Pin::new(self.io.as_mut().expect("is only taken when dropped"))
    }

    /// Writes `text` in place of the caller's bytes; the connection ends with it.
    fn refuse(&mut self, text: Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.refuse();
        self.pending = text;
        self.poll_pending(cx)
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let text = std::mem::take(&mut self.pending);
            match self.io().poll_write(cx, &text) {
                Poll::Ready(written) => self.pending = text[written?..].to_vec(),
                Poll::Pending => {
                    self.pending = text;
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The text to write in place of `bytes`, if hyper refuses a request with them.
    fn replacement(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self.frames.is_none() && self.pulse.is_between_requests() {
            true => self.texts.in_place_of(bytes, self.line.malformed()),
            false => None,
        }
    }

    /// The last word on an HTTP/2 connection that is cut off, if there is one and it would not be
    /// taken for a part of another.
    fn last_word(&self) -> Option<Vec<u8>> {
        if self.frames.is_none() || self.cut {
            return None;
        }
        if self.pulse.was_cancelled() {
            return Some(self.texts.cancelled());
        }
        self.pulse.take_late().then(|| self.texts.late_frame())
    }

    /// Fails if an HTTP/1 client has left while it was waited for its answer.
    ///
    /// A client that closes its side of the connection right behind its request waits for the
    /// answer. TCP does not tell it from one that has closed all of it: only the time does, and an
    /// answer that has begun.
    fn look_for_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.looked || self.frames.is_some() || !self.pulse.is_busy() {
            return Ok(());
        }
        let Some(io) = &mut self.io else {
            return Ok(());
        };
        let request = self.pulse.requests();
        let since = self.waiting.filter(|(of, _)| *of == request);
        match io.poll_end(cx) {
            Poll::Pending => {
                self.waiting = since.or_else(|| Some((request, Instant::now())));
                Ok(())
            }
            Poll::Ready(Ok(is_end)) => {
                self.looked = true;
                let has_left = is_end
                    && match since {
                        Some((_, since)) => {
                            self.pulse.is_answered() || since.elapsed() >= self.half_close
                        }
                        None => self.half_close.is_zero(),
                    };
                match has_left {
                    true => Err(io::ErrorKind::ConnectionAborted.into()),
                    false => Ok(()),
                }
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Notes what the socket said to `offered` bytes.
    fn wrote(&mut self, offered: usize, written: &Poll<io::Result<usize>>) {
        self.pulse.wrote(written.is_pending());
        if let Poll::Ready(Ok(written)) = written {
            self.cut = *written < offered;
            self.line.reset();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let last = match self.pulse.was_refused() {
            true => Some(Vec::new()),
            false if self.frames.is_none() && self.pulse.is_unread() => Some(Vec::new()),
            false => self.last_word(),
        };
        if let Some(last) = last
            && let Some(io) = self.io.take()
        {
            self.pulse.leave_over(io, last);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.frames.is_none() && self.pulse.take_late() {
            let text = self.texts.late();
            // Whatever does not fit into the socket now is lost with the connection.
            let _ = self.refuse(text, cx)?;
            // The end, for hyper.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.io().poll_read(cx, buf))?;
        // An end that is read need not be looked for.
        self.looked = buf.filled().len() == before;
        self.waiting = None;
        let read = &buf.filled()[before..];
        let Self {
            frames,
            pulse,
            line,
            texts,
            ..
        } = &mut *self;
        match frames {
            Some(frames) => frames.read(read, pulse),
            None if !read.is_empty() => {
                pulse.read();
                if pulse.is_between_requests()
                    && let Some(text) = line.read(read, texts.line_bytes())
                {
                    // hyper would serve this: it gets the end instead.
                    buf.set_filled(before);
                    let text = texts.refused(&text);
                    let _ = self.refuse(text, cx)?;
                }
            }
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(cx))?;
        if let Some(text) = self.replacement(bytes) {
            let _ = self.refuse(text, cx)?;
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = self.io().poll_write(cx, bytes);
        self.wrote(bytes.len(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs
            && refusal::may_be(only)
        {
            return self.poll_write(cx, only);
        }
        ready!(self.poll_pending(cx))?;
        let written = self.io().poll_write_vectored(cx, bufs);
        self.wrote(bufs.iter().map(|buf| buf.len()).sum(), &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        self.look_for_client(cx)?;
        let flushed = self.io().poll_flush(cx);
        self.pulse.flushed(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        let shut = self.io().poll_shutdown(cx);
        self.pulse.flushed(shut.is_pending());
        shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, server::pulse::Phase};
    use futures_util::FutureExt as _;
    use mesh_transport::Flusher;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        task::yield_now,
    };

    async fn connected() -> (Io, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
        let (socket, _) = accepted.unwrap();
        socket.writable().await.unwrap();
        let io = Io::new(socket, Arc::default()).with_flusher(&Flusher::start());
        (io, peer.unwrap())
    }

    /// Writes until neither the socket nor the flusher takes any more; returns how much that was.
    async fn fill(io: &mut Io) -> usize {
        let mut sum = 0;
        while let Some(written) = io.write(&[7; 1000]).now_or_never() {
            sum += written.unwrap();
            yield_now().await;
        }
        sum
    }

    #[tokio::test]
    async fn a_client_that_leaves_a_rest_unread_stalls_the_connection() {
        let (mut io, mut client) = connected().await;
        let taken = fill(&mut io).await;
        let pulse = Arc::<Pulse>::default();
        let texts = Arc::new(Texts::new(&Limits::default()));
        let mut socket = Socket::new(io, pulse.clone(), texts, false);
        assert!(socket.flush().now_or_never().is_none());
        assert_eq!(pulse.phase(false).0, Phase::Stalled);
        client.read_exact(&mut vec![0; taken]).await.unwrap();
        socket.flush().await.unwrap();
        assert_eq!(pulse.phase(false).0, Phase::Idle);
    }
}
