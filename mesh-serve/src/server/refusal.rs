use crate::Limits;

/// Answers to requests that cannot even be read.
///
/// hyper answers such requests itself over HTTP/1, with a bare status, and offers no say in it, nor
/// in how an HTTP/2 connection ends. Nobody would know which limit it was.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    limits: Limits,
    pub(super) render: fn(&str, &str) -> Vec<u8>,
}

/// hyper's own answers: these, byte for byte.
const MALFORMED: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const URI: &[u8] = b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const HEAD: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Texts {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            render: response,
        }
    }

    /// The text in place of `bytes`, if hyper refuses a request with them; `malformed` is what is
    /// known to be wrong with it.
    pub(super) fn in_place_of(&self, bytes: &[u8], malformed: Option<&str>) -> Option<Vec<u8>> {
        let Limits {
            headers,
            head_bytes,
            names,
            ..
        } = &self.limits;
        let (status, text) = match bytes {
            MALFORMED => {
                let text = malformed.unwrap_or("not a valid HTTP/1 request");
                ("400 Bad Request", text.to_owned())
            }
            URI => (
                "414 URI Too Long",
                "a target of more than 65534 bytes".to_owned(),
            ),
            HEAD => (
                "431 Request Header Fields Too Large",
                format!(
                    "a head of more than {headers} headers or {head_bytes} bytes ({}, {})",
                    names.headers, names.head_bytes
                ),
            ),
            _ => return None,
        };
        Some((self.render)(status, &text))
    }

    /// For a request that is refused with `text`.
    pub(super) fn refused(&self, text: &str) -> Vec<u8> {
        (self.render)("400 Bad Request", text)
    }

    /// Bytes of a first line whose target is within its limit.
    pub(super) fn line_bytes(&self) -> usize {
        // A method, two spaces and the version.
        self.limits.uri_bytes.saturating_add(64)
    }

    /// Time for an HTTP/1 client to close its side behind a request.
    pub(super) fn half_close(&self) -> std::time::Duration {
        self.limits.half_close
    }

    /// For a head that took too long.
    pub(super) fn late(&self) -> Vec<u8> {
        (self.render)("408 Request Timeout", &self.no_head())
    }

    /// The same over HTTP/2.
    pub(super) fn late_frame(&self) -> Vec<u8> {
        be_calm(&self.no_head())
    }

    /// For an HTTP/2 client that resets its streams.
    pub(super) fn cancelled(&self) -> Vec<u8> {
        be_calm(&format!(
            "more than {} requests were cancelled ({})",
            self.limits.cancels, self.limits.names.cancels
        ))
    }

    fn no_head(&self) -> String {
        let Limits { head, names, .. } = &self.limits;
        format!("no whole head within {head:?} ({})", names.head)
    }
}

/// Returns true if `bytes` may be a refusal that hyper wrote.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    bytes.len() <= HEAD.len() && bytes.starts_with(b"HTTP/1.1 4")
}

/// GOAWAY with ENHANCE_YOUR_CALM and a text that is for people (RFC 9113, 6.8).
fn be_calm(text: &str) -> Vec<u8> {
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u32 = 11;
    // What was done of what it asked for is not known here, so it may be all of it.
    const LAST_STREAM: u32 = u32::MAX >> 1;
    let length = u8::try_from(8 + text.len()).unwrap_or(8);
    let text = &text.as_bytes()[..usize::from(length) - 8];
    let mut bytes = vec![0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
    bytes.extend(LAST_STREAM.to_be_bytes());
    bytes.extend(ENHANCE_YOUR_CALM.to_be_bytes());
    bytes.extend(text);
    bytes
}

fn response(status: &str, text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{text}\n",
        text.len() + 1
    )
    .into_bytes()
}
