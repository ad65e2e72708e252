//! Detection of the protocol that a connection speaks, and of the server that a TLS client names.

mod hello;

pub use self::hello::Hello;

use crate::Limits;
use bytes::{Bytes, BytesMut};
use mesh_transport::Io;
use std::io;
use tokio::io::AsyncReadExt as _;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// TLS, which passes as it is.
    Tls,
    /// Anything else.
    Opaque,
}

/// The client connection preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A method that does not end within these first bytes is not taken for HTTP.
const MAX_FIRST: usize = 32;

/// Reads until the first bytes say what the connection speaks, and puts them back.
///
/// It reads on until the protocol is decidable, however short the first segment is. Silence for
/// [`Limits::detect`] counts as opaque: the server may be the one to speak first. The end of the
/// stream before any byte is `None`.
///
/// # Errors
///
/// The connection broke.
pub async fn detect(io: &mut Io, limits: &Limits) -> io::Result<Option<Protocol>> {
    let mut buf = BytesMut::with_capacity(READ);
    let read = async {
        loop {
            if io.read_buf(&mut buf).await? == 0 {
                return Ok((!buf.is_empty()).then_some(Protocol::Opaque));
            }
            if let Some(protocol) = decide(&buf) {
                return Ok(Some(protocol));
            }
        }
    };
    let protocol = match tokio::time::timeout(limits.detect, read).await {
        Ok(result) => result,
        Err(_elapsed) => {
            tracing::debug!(limit = limits.names.detect, "taken for bytes");
            Ok(Some(Protocol::Opaque))
        }
    };
    io.unread(Bytes::from(buf));
    protocol
}

/// Reads the server's name off the first message of TLS, and puts it back.
///
/// A client that does not finish the message within [`Limits::detect`] has no name.
///
/// # Errors
///
/// The connection broke.
pub async fn server_name(io: &mut Io, limits: &Limits) -> io::Result<Option<Box<str>>> {
    let mut buf = BytesMut::with_capacity(READ);
    let read = async {
        loop {
            match hello::read(&buf) {
                Hello::Named(name) => return Ok(Some(name)),
                Hello::Unnamed => return Ok(None),
                Hello::Incomplete => {}
            }
            if io.read_buf(&mut buf).await? == 0 {
                return Ok(None);
            }
        }
    };
    let name = tokio::time::timeout(limits.detect, read).await;
    io.unread(Bytes::from(buf));
    name.unwrap_or(Ok(None))
}

/// Reads the first bytes of a connection; the protocol is `None` while more are needed.
pub fn first(bytes: &[u8]) -> (Option<Protocol>, Hello) {
    (decide(bytes), hello::read(bytes))
}

/// Most request heads fit, so detection costs no further read, and so does this in the allocator's
/// fast lists: what one connection gives back, the next one gets.
const READ: usize = 1024;

/// `None` while more bytes are needed; always decided at 32 bytes.
fn decide(bytes: &[u8]) -> Option<Protocol> {
    let shared = bytes.len().min(PREFACE.len());
    if bytes[..shared] == PREFACE[..shared] {
        return (shared == PREFACE.len()).then_some(Protocol::Http2);
    }
    // A handshake record, of SSL 3 or later.
    match bytes {
        [0x16] => return None,
        [0x16, 3, ..] => return Some(Protocol::Tls),
        _ => {}
    }
    // Only these count: or the same bytes would be HTTP in one segment, and opaque in two.
    let early = &bytes[..bytes.len().min(MAX_FIRST)];
    let undecided = (bytes.len() >= MAX_FIRST).then_some(Protocol::Opaque);
    // A server should ignore an empty line before the request line (RFC 9112, 2.2).
    let Some(start) = early.iter().position(|b| !matches!(b, b'\r' | b'\n')) else {
        return undecided;
    };
    match early[start..].iter().position(|b| !is_token(*b)) {
        Some(0) => Some(Protocol::Opaque),
        Some(end) if early[start + end] == b' ' => Some(Protocol::Http1),
        Some(_) => Some(Protocol::Opaque),
        None => undecided,
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_as_soon_as_they_can() {
        for (bytes, expected) in [
            (&b""[..], None),
            (b"G", None),
            (b"GET ", Some(Protocol::Http1)),
            (b"\r\nGET / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"PRI * HTTP/2.0\r\n", None),
            (PREFACE, Some(Protocol::Http2)),
            // Starts as the preface does, but is a method of its own.
            (b"PRIZE /", Some(Protocol::Http1)),
            (b"P", None),
            (b"\x16\x03\x01", Some(Protocol::Tls)),
            (b"\x16", None),
            (b"\x16\x04", Some(Protocol::Opaque)),
            (b" GET", Some(Protocol::Opaque)),
            (b"EHLO\r\n", Some(Protocol::Opaque)),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Some(Protocol::Opaque)),
        ] {
            assert_eq!(
                decide(bytes),
                expected,
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn every_prefix_of_a_request_decides_the_same_or_waits() {
        for whole in [
            &b"DELETE /books/1 HTTP/1.1\r\n"[..],
            PREFACE,
            b"PROPFIND / HTTP/1.1",
            b"A-METHOD-OF-TWENTY-NINE-BYTES / HTTP/1.1",
            b"A-METHOD-OF-MORE-THAN-THIRTY-TWO-BYTES / HTTP/1.1",
            b"\r\n\r\n\r\n\r\nGET / HTTP/1.1",
            b"\r\n\r\n\r\n\r\nA-METHOD-OF-TWENTY-NINE-BYTES / HTTP/1.1",
            b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nGET / HTTP/1.1",
        ] {
            let last = decide(whole).unwrap();
            for end in 0..whole.len() {
                assert!(decide(&whole[..end]).is_none_or(|early| early == last));
            }
        }
    }
}
