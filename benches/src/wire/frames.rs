//! HTTP/2 by hand (RFC 9113), as far as one request at a time takes it: every field is a literal
//! that is not indexed, so that there is no state.

use super::{BODY, HEADERS, PATH};
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

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    /// In the buffer it was read into.
    payload: std::ops::Range<usize>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
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

/// Sends one request and reads its response.
pub(super) async fn ask(socket: &mut TcpStream, buffer: &mut [u8], stream: u32) -> Option<()> {
    let mut head = Vec::with_capacity(512);
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "books"),
        (":path", PATH),
    ] {
        field(&mut head, name, value);
    }
    for (name, value) in &HEADERS[1..] {
        field(&mut head, name, value);
    }
    let request = frame(HEAD, END_HEADERS | END_STREAM, stream, &head);
    socket.write_all(&request).await.ok()?;
    let mut body = 0;
    let mut held = 0..0;
    loop {
        let frame = next(socket, buffer, &mut held).await?;
        if frame.kind == HEAD {
            // `:status: 200`, from the static table.
            assert_eq!(
                buffer[frame.payload.start], 0x88,
                "a status that is not 200"
            );
        }
        if frame.kind == DATA {
            body += frame.payload.len();
        }
        if frame.stream == stream && frame.flags & END_STREAM != 0 {
            assert_eq!(body, BODY);
            return Some(());
        }
    }
}

/// Answers requests until the connection ends.
pub(super) async fn answer(mut socket: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    if socket.read_exact(&mut buffer[..24]).await.is_err() {
        return;
    }
    let mut head = vec![0x88];
    field(&mut head, "content-type", "application/json");
    let mut held = 0..0;
    let settings = HELLO[24..].to_vec();
    if socket.write_all(&settings).await.is_err() {
        return;
    }
    while let Some(Frame {
        kind,
        flags,
        stream,
        ..
    }) = next(&mut socket, &mut buffer, &mut held).await
    {
        if kind == HEAD && flags & END_STREAM != 0 {
            let mut response = frame(HEAD, END_HEADERS, stream, &head);
            response.extend(frame(DATA, END_STREAM, stream, &[b'x'; BODY]));
            if socket.write_all(&response).await.is_err() {
                return;
            }
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
                    (SETTINGS, 0) => self::frame(SETTINGS, ACK, 0, &[]),
                    (PING, 0) => self::frame(PING, ACK, 0, &buffer[frame.payload.clone()]),
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
