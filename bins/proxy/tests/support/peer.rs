use frames::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Bytes of HTTP/2 frames.
pub mod frames {
    use bytes::BufMut as _;

    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    /// END_STREAM, ACK.
    pub const LAST: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    /// `:status: 200`, from HPACK's table.
    pub const STATUS_200: &[u8] = &[0x88];
    /// A POST to `http://books/`.
    pub const POST: &[u8] = b"\x83\x86\x84\x41\x05books";

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.put_uint(payload.len() as u64, 3);
        frame.put_u8(kind);
        frame.put_u8(flags);
        frame.put_u32(stream);
        frame.put_slice(payload);
        frame
    }
}

/// The server's end of an HTTP/2 connection, frame by frame.
pub struct Peer(TcpStream);

impl Peer {
    pub async fn accept(listener: &TcpListener) -> Self {
        let mut peer = Self::silent(listener).await;
        peer.write(SETTINGS, 0, 0, b"").await;
        peer
    }

    /// One that has yet to say what it takes.
    pub async fn silent(listener: &TcpListener) -> Self {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        socket.read_exact(&mut preface).await.unwrap();
        Self(socket)
    }

    pub async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = frame(kind, flags, stream, payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Several frames in one write.
    pub async fn write_all(&mut self, frames: &[u8]) {
        self.0.write_all(frames).await.unwrap();
    }

    /// The next frame, if there is one.
    async fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((kind, flags, u32::from_be_bytes(stream), payload))
    }

    /// The next frame that carries a request, if there is one.
    pub async fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            let frame = self.frame().await?;
            if matches!(frame.0, DATA | HEADERS) {
                return Some(frame);
            }
        }
    }

    /// The next stream that is reset, and the reason.
    pub async fn reset(&mut self) -> (u32, Vec<u8>) {
        loop {
            if let (RST_STREAM, _, stream, reason) = self.frame().await.unwrap() {
                return (stream, reason);
            }
        }
    }

    /// Waits for bytes and returns those of one read.
    pub async fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let read = self.0.read(&mut bytes).await.unwrap();
        bytes.truncate(read);
        bytes
    }

    /// Reads a request to its end and answers it with 200; returns its body.
    pub async fn serve(&mut self) -> Vec<u8> {
        let (stream, body) = self.whole().await;
        self.write(HEADERS, LAST | END_HEADERS, stream, STATUS_200)
            .await;
        body
    }

    /// Reads a request to its end; returns its stream and its body.
    pub async fn whole(&mut self) -> (u32, Vec<u8>) {
        let mut body = Vec::new();
        loop {
            let (kind, flags, stream, payload) = self.read().await.unwrap();
            if kind == DATA {
                body.extend(payload);
            }
            if flags & LAST > 0 {
                return (stream, body);
            }
        }
    }

    /// Reads the beginning of a request: its head and some of its body.
    pub async fn begin(&mut self) -> Vec<u8> {
        let (kind, ..) = self.read().await.unwrap();
        assert_eq!(kind, HEADERS);
        let (kind, _, _, payload) = self.read().await.unwrap();
        assert_eq!(kind, DATA);
        payload
    }

    /// Closes the connection while the head of a request lies unread in it.
    pub async fn leave_unread(mut self) {
        let mut bytes = vec![0; 4096];
        loop {
            let length = self.0.peek(&mut bytes).await.unwrap();
            if length >= 9 && bytes[3] == HEADERS {
                return;
            }
            if length >= 9 {
                self.frame().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Leaves, having looked at streams up to `last`.
    pub async fn leave(mut self, last: u8) {
        self.write(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0]).await;
        while self.read().await.is_some() {}
    }
}
