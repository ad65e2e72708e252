//! Targets of HTTP/1 requests that the URI type of the `http` crate refuses, cuts or completes.

use http::{
    Method, Request, Uri, Version,
    uri::{PathAndQuery, Scheme},
};

/// The first line of the current request, as far as it is here.
///
/// hyper answers a target that it cannot read with a bare 400, and cuts off a fragment. So the
/// line is looked at before hyper sees it. A request that came in one packet with the one before
/// it is not.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    seen: bool,
    /// The beginning of a line whose end has yet to come.
    partial: Vec<u8>,
    malformed: Option<String>,
}

impl RequestLine {
    /// Looks at bytes that were read between requests. Returns the reason to refuse the request at
    /// once: a fragment. Of a line longer than `most` bytes nothing is said.
    pub(super) fn read(&mut self, bytes: &[u8], most: usize) -> Option<String> {
        if self.seen {
            return None;
        }
        // Empty lines may come before a request (RFC 9112, 2.2).
        let skipped = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n'));
        let bytes = match self.partial.is_empty() {
            true => &bytes[skipped.count()..],
            false => bytes,
        };
        let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
            self.partial.extend_from_slice(bytes);
            if self.partial.len() > most {
                self.partial = Vec::new();
                self.seen = true;
            }
            return None;
        };
        self.seen = true;
        if self.partial.is_empty() {
            return self.look_at(&bytes[..end]);
        }
        let mut line = std::mem::take(&mut self.partial);
        line.extend_from_slice(&bytes[..end]);
        self.look_at(&line)
    }

    /// Expects the first line of another request.
    pub(super) fn reset(&mut self) {
        self.seen = false;
        if self.malformed.is_some() {
            self.malformed = None;
        }
    }

    /// The reason why the target cannot be read.
    pub(super) fn malformed(&self) -> Option<&str> {
        self.malformed.as_deref()
    }

    fn look_at(&mut self, line: &[u8]) -> Option<String> {
        // Few lines have any of these. Without an early end the compiler looks at many at once.
        if !line.iter().fold(false, |any, b| any | is_suspect(*b)) {
            return None;
        }
        let target = target(line)?;
        let (at, flaw) = flaw(target)?;
        let at = at + 1;
        let text = match flaw {
            Flaw::Fragment => {
                return Some(format!(
                    "a fragment ('#') at byte {at} of the target: leave it out, or send '#' as %23"
                ));
            }
            Flaw::Byte(byte) => format!(
                "'{}' at byte {at} of the target: send it as %{byte:02X}",
                byte.escape_ascii()
            ),
            Flaw::NotUtf8(byte) => {
                format!("a byte at {at} of the target that is not UTF-8: send it as %{byte:02X}")
            }
        };
        self.malformed = Some(text);
        None
    }
}

/// Returns true for bytes that some target may not have.
fn is_suspect(byte: u8) -> bool {
    matches!(byte, 0..=8 | 11 | 12 | 14..=31 | b'"' | b'#' | b'<' | b'>' | b'`' | 0x7f..)
}

/// The target in a first line (RFC 9112, 3); none if it is no such line.
fn target(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let space = line.iter().position(|b| *b == b' ')?;
    let (method, rest) = (&line[..space], &line[space + 1..]);
    let (target, version) = rest.split_at(rest.len().checked_sub(b" HTTP/1.1".len())?);
    let is_first = Method::from_bytes(method).is_ok()
        && matches!(version, b" HTTP/1.1" | b" HTTP/1.0")
        && !target.contains(&b' ');
    is_first.then_some(target)
}

#[derive(Debug, PartialEq, Eq)]
enum Flaw {
    Fragment,
    Byte(u8),
    NotUtf8(u8),
}

/// The first byte of a target that the `http` crate does not accept, or that begins a fragment.
fn flaw(target: &[u8]) -> Option<(usize, Flaw)> {
    let utf8 = std::str::from_utf8(target).map_or_else(|error| error.valid_up_to(), str::len);
    let mut in_query = false;
    for (at, byte) in target.iter().copied().enumerate() {
        match byte {
            _ if at == utf8 => return Some((at, Flaw::NotUtf8(byte))),
            b'?' => in_query = true,
            b'#' => return Some((at, Flaw::Fragment)),
            b'`' if !in_query => return Some((at, Flaw::Byte(byte))),
            b'"' if in_query => return Some((at, Flaw::Byte(byte))),
            0..=31 | b'<' | b'>' | 127 => return Some((at, Flaw::Byte(byte))),
            _ => {}
        }
    }
    None
}

/// Replaces the path of `OPTIONS http://a`, which is `/` for hyper, with `*`: the request is for
/// the server as a whole (RFC 9112, 3.2.4).
///
/// Call it with what hyper has just read: a path that the client sent stands in one buffer with the
/// authority, right behind it; the one that is filled in does not.
pub(super) fn name_server<B>(req: &mut Request<B>) {
    if req.method() != Method::OPTIONS || req.version() == Version::HTTP_2 {
        return;
    }
    let uri = req.uri();
    let Some(authority) = uri
        .authority()
        .filter(|_| uri.scheme() == Some(&Scheme::HTTP))
    else {
        return;
    };
    let behind = authority.as_str().as_bytes().as_ptr_range().end;
    if uri.path_and_query().is_none_or(|path| path != "/") || uri.path().as_ptr() == behind {
        return;
    }
    let mut parts = std::mem::take(req.uri_mut()).into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("*"));
    *req.uri_mut() = Uri::from_parts(parts).expect("only the path is another");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reason to refuse `bytes` at once, or the one that hyper's refusal gets.
    fn read(reads: &[&[u8]]) -> (Option<String>, Option<String>) {
        let mut line = RequestLine::default();
        let refused = reads.iter().find_map(|bytes| line.read(bytes, 100));
        (refused, line.malformed().map(str::to_owned))
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        for (line, expected) in [
            ("GET /a<b HTTP/1.1\r\n", Some("'<' at byte 3")),
            ("GET /?a=> HTTP/1.0\n", Some("'>' at byte 5")),
            ("GET /` HTTP/1.1\r\n", Some("'`' at byte 2")),
            ("GET /?` HTTP/1.1\r\n", None),
            ("GET /\" HTTP/1.1\r\n", None),
            ("GET /?\" HTTP/1.1\r\n", Some("at byte 3")),
            ("GET /\u{1} HTTP/1.1\r\n", Some("'\\x01' at byte 2")),
            ("\r\nGET http://a/< HTTP/1.1\r\n", Some("'<' at byte 10")),
            ("GET /\u{e4} HTTP/1.1\r\n", None),
            // Not a first line.
            ("/< HTTP/1.1\r\n", None),
            ("x: <b> HTTP/1.1\r\n", None),
            ("GET /< HTTP/2.0\r\n", None),
            ("GET /<", None),
        ] {
            let (refused, malformed) = read(&[line.as_bytes()]);
            assert_eq!(refused, None, "{line:?}");
            assert_eq!(malformed.is_some(), expected.is_some(), "{line:?}");
            if let (Some(text), Some(expected)) = (malformed, expected) {
                assert!(text.contains(expected), "{line:?}: {text}");
            }
        }
        let (_, malformed) = read(&[b"GET /a\xff HTTP/1.1\r\n"]);
        assert!(malformed.is_some_and(|text| text.ends_with("%FF")));
    }

    #[test]
    fn a_fragment_is_refused_however_it_is_cut() {
        let line = b"GET /a#b HTTP/1.1\r\n";
        for cut in 0..line.len() {
            let (refused, _) = read(&[&line[..cut], &line[cut..]]);
            assert!(
                refused.is_some_and(|text| text.contains("at byte 3")),
                "{cut}"
            );
        }
        let (refused, _) = read(&[b"GET / HTTP/1.1\r\n", b"GET /a#b HTTP/1.1\r\n"]);
        assert_eq!(refused, None, "the second line is no first one");
        let mut line = RequestLine::default();
        assert_eq!(line.read(&[b'a'; 101], 100), None);
        assert_eq!(line.partial.capacity(), 0);
    }

    #[test]
    fn options_without_a_path_is_for_the_server_as_a_whole() {
        for (method, uri, expected) in [
            ("OPTIONS", "http://a", "*"),
            ("OPTIONS", "http://a:1", "*"),
            ("OPTIONS", "http://a/", "/"),
            ("OPTIONS", "http://a?q", "?q"),
            ("OPTIONS", "http://a/x", "/x"),
            ("OPTIONS", "*", "*"),
            ("OPTIONS", "/", "/"),
            ("GET", "http://a", "/"),
        ] {
            let mut req = Request::builder().method(method).uri(uri).body(()).unwrap();
            name_server(&mut req);
            let path = req.uri().path_and_query().unwrap();
            assert_eq!(path.as_str(), expected, "{method} {uri}");
            let authority = uri.strip_prefix("http://").map(|rest| &rest[..1]);
            assert_eq!(req.uri().host(), authority, "{method} {uri}");
        }
    }
}
