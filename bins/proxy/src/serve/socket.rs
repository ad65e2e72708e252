use super::{
    linger,
    pulse::Pulse,
    refusal::{self, Texts},
};
use crate::transport::Io;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's socket that tells the pulse of its connection, and why it is refused.
pub(super) struct Socket {
    /// Absent only while this is dropped.
    io: Option<Io>,
    pulse: Arc<Pulse>,
    /// What hyper's own answers are replaced with; HTTP/2 has none.
    texts: Option<Arc<Texts>>,
    /// The rest of such a replacement.
    pending: Vec<u8>,
}

impl Socket {
    pub(super) fn new(io: Io, pulse: Arc<Pulse>, texts: Option<Arc<Texts>>) -> Self {
        Self {
            io: Some(io),
            pulse,
            texts,
            pending: Vec::new(),
        }
    }

    fn io(&mut self) -> Pin<&mut Io> {
        Pin::new(self.io.as_mut().expect("is only taken when dropped"))
    }

    /// Says `text` instead of what the caller has to say; the connection ends with it.
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

    /// What to say in place of `bytes`, if it is hyper that refuses a request with them.
    fn replacement(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let texts = self.texts.as_ref()?;
        match self.pulse.is_between_requests() {
            true => texts.in_place_of(bytes),
            false => None,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.pulse.was_refused()
            && let Some(io) = self.io.take()
        {
            linger::spawn(io);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pulse.take_late() {
            if let Some(texts) = self.texts.clone() {
                // Whatever does not fit into the socket now is lost with the connection.
                let _ = self.refuse(texts.late(), cx)?;
            }
            // The end, for hyper.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.io().poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.pulse.read();
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
        self.pulse.wrote(written.is_pending());
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
        self.pulse.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        self.io().poll_shutdown(cx)
    }
}
