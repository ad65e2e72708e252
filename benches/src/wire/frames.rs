//! HTTP/2 by hand (RFC 9113), as far as one request at a time takes it: every field is a literal
//! that is not indexed, so that there is no state.

use super::{BODY, HEADERS, METHOD_PATH, PATH, Protocol};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The preface, empty settings, and a window for the connection that lasts for ever.
pub(super) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x04\x08\0\0\0\0\0\x7f\0\0\0";

const DATA: u8 = 0;
const HEAD: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Of a frame's head.
const LEN: usize = 9;

/// `:status: 200`, from the static table.
const OK: u8 = 0x88;

const GRPC: &str = "application/grpc";

/// Of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    /// In the buffer it was read into.
    payload: std::ops::Range<usize>,
}

/// One of the connection, until it is said of which stream it is.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &[0; 4], payload].concat()
}

/// A literal field without indexing (RFC 7541, 6.2.2) whose name and value are short.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    for text in [name, value] {
        out.push(
            u8::try_from(text.len())
                .ok()
                .filter(|len| *len < 127)
                .expect("a short text"),
        );
        out.extend_from_slice(text.as_bytes());
    }
}

/// The frames of one stream, made once and sent again and again.
pub(super) struct Message {
    bytes: Vec<u8>,
    frames: Vec<usize>,
}

impl Message {
    fn new(frames: &[Vec<u8>]) -> Self {
        let starts = frames.iter().scan(0, |start, frame| {
            *start += frame.len();
            Some(*start - frame.len())
        });
        Self {
            frames: starts.collect(),
            bytes: frames.concat(),
        }
    }

    /// The frames as those of `stream`.
    fn of(&mut self, stream: u32) -> &[u8] {
        for start in &self.frames {
            self.bytes[start + 5..start + LEN].copy_from_slice(&stream.to_be_bytes());
        }
        &self.bytes
    }
}

/// A request.
pub(super) fn request(protocol: Protocol) -> Message {
    let grpc = protocol == Protocol::Grpc;
    let mut head = Vec::with_capacity(512);
    let (method, path) = match grpc {
        true => ("POST", METHOD_PATH),
        false => ("GET", PATH),
    };
    for (name, value) in [
        (":method", method),
        (":scheme", "http"),
        (":authority", "books"),
        (":path", path),
    ] {
        field(&mut head, name, value);
    }
    let own = [("te", "trailers"), ("content-type", GRPC)];
    let own = own.iter().filter(|_| grpc);
    for (name, value) in HEADERS[1..].iter().chain(own) {
        field(&mut head, name, value);
    }
    if !grpc {
        return Message::new(&[frame(HEAD, END_HEADERS | END_STREAM, &head)]);
    }
    let head = frame(HEAD, END_HEADERS, &head);
    Message::new(&[head, frame(DATA, END_STREAM, &prefixed())])
}

/// Its response.
fn response(protocol: Protocol) -> Message {
    let mut head = vec![OK];
    if protocol != Protocol::Grpc {
        field(&mut head, "content-type", "application/json");
        let head = frame(HEAD, END_HEADERS, &head);
        return Message::new(&[head, frame(DATA, END_STREAM, &[b'x'; BODY])]);
    }
    field(&mut head, "content-type", GRPC);
    let mut trailers = Vec::new();
    field(&mut trailers, "grpc-status", "0");
    Message::new(&[
        frame(HEAD, END_HEADERS, &head),
        frame(DATA, 0, &prefixed()),
        frame(HEAD, END_HEADERS | END_STREAM, &trailers),
    ])
}

/// A message of gRPC with its prefix.
fn prefixed() -> [u8; BODY] {
    let mut message = [b'x'; BODY];
    let len = (BODY - PREFIX) as u32;
    message[0] = 0;
    message[1..PREFIX].copy_from_slice(&len.to_be_bytes());
    message
}

/// Sends one request and reads its response.
pub(super) async fn ask(
    socket: &mut TcpStream,
    buffer: &mut [u8],
    request: &mut Message,
    stream: u32,
) -> Option<()> {
    socket.write_all(request.of(stream)).await.ok()?;
    let (mut heads, mut body) = (0, 0);
    let mut held = 0..0;
    loop {
        let frame = next(socket, buffer, &mut held).await?;
        if frame.kind == HEAD {
            heads += 1;
            if heads == 1 {
                let status = buffer[frame.payload.start];
                assert_eq!(status, OK, "a status that is not 200");
            }
        }
        if frame.kind == DATA {
            body += frame.payload.len();
        }
        if frame.stream == stream && frame.flags & END_STREAM != 0 {
            // Trailers are a head, too.
            let trailers = frame.kind == HEAD;
            assert_eq!((heads, body), (1 + u32::from(trailers), BODY));
            return Some(());
        }
    }
}

/// Answers requests until the connection ends.
pub(super) async fn answer(mut socket: TcpStream, protocol: Protocol) {
    let mut buffer = vec![0; 16 << 10];
    if socket.read_exact(&mut buffer[..24]).await.is_err() {
        return;
    }
    let mut response = response(protocol);
    let mut held = 0..0;
    let settings = HELLO[24..].to_vec();
    if socket.write_all(&settings).await.is_err() {
        return;
    }
    while let Some(frame) = next(&mut socket, &mut buffer, &mut held).await {
        if matches!(frame.kind, HEAD | DATA)
            && frame.flags & END_STREAM != 0
            && socket.write_all(response.of(frame.stream)).await.is_err()
        {
            return;
        }
    }
}

/// The next frame; what is asked for at once is done on the way. `held` is what the buffer holds
/// beyond the last one.
async fn next(
    socket: &mut TcpStream,
    buffer: &mut [u8],
    held: &mut std::ops::Range<usize>,
) -> Option<Frame> {
    loop {
        let bytes = &buffer[held.clone()];
        if let Some(head) = bytes.first_chunk::<LEN>() {
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if bytes.len() >= LEN + len {
                let start = held.start + LEN;
                let frame = Frame {
                    kind: head[3],
                    flags: head[4],
                    stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
                    payload: start..start + len,
                };
                held.start = start + len;
                let answer = match (frame.kind, frame.flags & ACK) {
                    (SETTINGS, 0) => self::frame(SETTINGS, ACK, &[]),
                    (PING, 0) => self::frame(PING, ACK, &buffer[frame.payload.clone()]),
                    (SETTINGS | PING | WINDOW_UPDATE, _) => continue,
                    _ => return Some(frame),
                };
                socket.write_all(&answer).await.ok()?;
                continue;
            }
        }
        buffer.copy_within(held.clone(), 0);
        *held = 0..held.len();
        match socket.read(&mut buffer[held.end..]).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => held.end += more,
        }
    }
}
