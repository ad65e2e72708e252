//! The first message of TLS, as far as the name in it.

/// The server that the first bytes of a connection name, if they are a TLS ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed.
    Incomplete,
    /// It is whole, and names this server, in lower case (RFC 6066, 3).
    Named(Box<str>),
    /// It names none, or is not what it should be.
    Unnamed,
}

/// Handshake messages come in records of this type (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

const CLIENT_HELLO: u8 = 1;

/// The extension with the name, and the kind of name that is a host's.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// A message longer than this is not looked at; those of today have up to two kilobytes.
pub(super) const MAX_HELLO: usize = 16 * 1024;

/// Reads `bytes`, from the beginning of a connection.
///
/// It reads what a client that is not to be trusted sends, and nothing of it is believed: a name
/// that could not be one of a host is none.
pub(crate) fn read(bytes: &[u8]) -> Hello {
    let Some(message) = message(bytes) else {
        return Hello::Unnamed;
    };
    match message {
        Message::Incomplete if bytes.len() > MAX_HELLO => Hello::Unnamed,
        Message::Incomplete => Hello::Incomplete,
        Message::Whole(body) => match server_name(&body) {
            Some(name) => Hello::Named(name),
            None => Hello::Unnamed,
        },
    }
}

enum Message {
    Incomplete,
    Whole(Vec<u8>),
}

/// The body of the first handshake message, which may be cut into several records.
fn message(bytes: &[u8]) -> Option<Message> {
    let mut records = Reader(bytes);
    let mut handshake = Vec::new();
    loop {
        if let Some((&kind, rest)) = handshake.split_first() {
            if kind != CLIENT_HELLO {
                return None;
            }
            let mut rest = Reader(rest);
            if let Some(length) = rest.u24() {
                if length > MAX_HELLO {
                    return None;
                }
                if let Some(body) = rest.take(length) {
                    return Some(Message::Whole(body.to_vec()));
                }
            }
        }
        let Some(kind) = records.u8() else {
            return Some(Message::Incomplete);
        };
        if kind != HANDSHAKE {
            return None;
        }
        match records.u8() {
            // SSL 3 to TLS 1.3 all say 3 here.
            Some(3) => {}
            Some(_) => return None,
            None => return Some(Message::Incomplete),
        }
        let (Some(_minor), Some(length)) = (records.u8(), records.u16()) else {
            return Some(Message::Incomplete);
        };
        // RFC 8446, 5.1: at most 2^14, and no empty ones of handshakes.
        let length = usize::from(length);
        if length == 0 || length > 1 << 14 {
            return None;
        }
        let here = length.min(records.0.len());
        handshake.extend_from_slice(records.take(here)?);
    }
}

/// The name in a ClientHello (RFC 8446, 4.1.2).
fn server_name(hello: &[u8]) -> Option<Box<str>> {
    let mut hello = Reader(hello);
    let _version_and_random = hello.take(2 + 32)?;
    let session = hello.u8()?;
    hello.take(session.into())?;
    let ciphers = hello.u16()?;
    hello.take(ciphers.into())?;
    let compressions = hello.u8()?;
    hello.take(compressions.into())?;
    let length = hello.u16()?;
    let mut extensions = Reader(hello.take(length.into())?);
    while let Some(kind) = extensions.u16() {
        let length = extensions.u16()?;
        let body = extensions.take(length.into())?;
        if kind == SERVER_NAME {
            return host_name(body);
        }
    }
    None
}

fn host_name(list: &[u8]) -> Option<Box<str>> {
    let mut list = Reader(list);
    let length = list.u16()?;
    let mut names = Reader(list.take(length.into())?);
    while let Some(kind) = names.u8() {
        let length = names.u16()?;
        let name = names.take(length.into())?;
        if kind == HOST_NAME {
            return is_host(name)
                .then(|| String::from_utf8_lossy(name).to_ascii_lowercase().into());
        }
    }
    None
}

/// Returns true if `name` can be a host name in DNS: it becomes a label of metrics.
fn is_host(name: &[u8]) -> bool {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !name.is_empty() && name.len() <= 253 && name.iter().all(is_part)
}

/// Takes from the front, or nothing where there is not enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn u24(&mut self) -> Option<usize> {
        let bytes = self.take(3)?;
        let number = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        usize::try_from(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_length(bytes: &[u8], width: usize) -> Vec<u8> {
        let length = bytes.len().to_be_bytes();
        [&length[length.len() - width..], bytes].concat()
    }

    /// A handshake message with an extension of `kind`.
    fn hello(kind: u16, extension: &[u8]) -> Vec<u8> {
        let other = [&[0, 43][..], &with_length(b"\x02\x03\x04", 2)].concat();
        let named = [&kind.to_be_bytes()[..], &with_length(extension, 2)].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &with_length(&[1; 32], 1),
            &with_length(&[0x13, 0x01], 2),
            &with_length(&[0], 1),
            &with_length(&[other, named].concat(), 2),
        ];
        [&[CLIENT_HELLO][..], &with_length(&body.concat(), 3)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part| [&[HANDSHAKE, 3, 1][..], &with_length(part, 2)].concat();
        message.chunks(size).flat_map(record).collect()
    }

    fn named(name: &[u8]) -> Vec<u8> {
        let entry = [&[HOST_NAME][..], &with_length(name, 2)].concat();
        hello(SERVER_NAME, &with_length(&entry, 2))
    }

    #[test]
    fn the_name_is_read_however_it_is_cut() {
        let message = named(b"Books.Example.com");
        for size in [1, 3, 50, 1000] {
            let bytes = records(&message, size);
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Hello::Incomplete, "{size} {end}");
            }
            let expected = Hello::Named("books.example.com".into());
            assert_eq!(read(&bytes), expected);
            assert_eq!(read(&[&bytes[..], b"more"].concat()), expected);
        }
    }

    #[test]
    fn a_name_that_is_none_is_not_believed() {
        let long = vec![b'a'; 254];
        for name in [&b""[..], b"a b", b"a\"}", b"a\n", b"\xff", b"a/b", &long] {
            assert_eq!(read(&records(&named(name), 1000)), Hello::Unnamed);
        }
        assert_eq!(read(&records(&hello(1, b"x"), 1000)), Hello::Unnamed);
    }

    #[test]
    fn what_is_no_hello_is_seen_at_once() {
        for bytes in [
            &b"\x17\x03\x03\0\x05hello"[..],
            b"\x16\x02\0\0\x05hello",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x03\x01\0\x04\x02\0\0\0",
            b"\x16\x03\x01\0\x04\x01\xff\xff\xff",
            // Whole, but cut off inside.
            b"\x16\x03\x01\0\x06\x01\0\0\x02\x03\x03",
        ] {
            assert_eq!(read(bytes), Hello::Unnamed, "{}", bytes.escape_ascii());
        }
        let endless = records(&vec![CLIENT_HELLO; 1 << 16], 1);
        assert_eq!(read(&endless), Hello::Unnamed);
    }
}
