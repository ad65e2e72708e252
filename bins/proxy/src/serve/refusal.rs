use crate::config::Limits;

/// What a client is told when its HTTP/1 request cannot even be read.
///
/// hyper answers such requests itself, with a bare status, and offers no say in it. Nobody would
/// know which limit it was.
#[derive(Debug)]
pub(super) struct Texts {
    headers: usize,
    head_bytes: usize,
    head: std::time::Duration,
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
            headers: limits.headers,
            head_bytes: limits.head_bytes,
            head: limits.head,
        }
    }

    pub(super) fn in_place_of(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let Self {
            headers,
            head_bytes,
            ..
        } = self;
        let (status, text) = match bytes {
            MALFORMED => ("400 Bad Request", "not a valid HTTP/1 request".to_owned()),
            URI => (
                "414 URI Too Long",
                "a target of more than 65534 bytes".to_owned(),
            ),
            HEAD => (
                "431 Request Header Fields Too Large",
                format!(
                    "a head of more than {headers} headers or {head_bytes} bytes \
                     (--max-headers, --max-head-bytes)"
                ),
            ),
            _ => return None,
        };
        Some(response(status, &text))
    }

    /// For a head that took too long.
    pub(super) fn late(&self) -> Vec<u8> {
        let text = format!("no whole head within {:?} (--head-limit)", self.head);
        response("408 Request Timeout", &text)
    }
}

/// Whether it is worth a closer look.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    bytes.len() <= HEAD.len() && bytes.starts_with(b"HTTP/1.1 4")
}

fn response(status: &str, text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nl5d-proxy-error: {text}\r\nmesh-reason: refused\r\n\
         connection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .into_bytes()
}
