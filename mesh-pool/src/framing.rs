//! Responses over HTTP/1 that could be read in two ways.

use crate::SendError;
use http::{
    HeaderMap, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use mesh_core::Fault;
use std::{fmt, net::SocketAddr};

/// The response, which says its length once.
///
/// A response with both a length and an encoding may be an attempt at splitting (RFC 9112, 6.3),
/// and a switch of protocols that nobody asked for has no end: both count as broken, and their
/// connection is closed. The same length said twice is said once from here on.
pub(super) fn unambiguous<B>(
    mut rsp: Response<B>,
    endpoint: SocketAddr,
) -> Result<Response<B>, SendError> {
    let broken = |what| Err(SendError::new(Fault::Protocol, endpoint, Ambiguous(what)));
    if rsp.status() == StatusCode::SWITCHING_PROTOCOLS {
        return broken("101 without a request for it");
    }
    // A proxy speaks for itself (RFC 9112, 2.3): that the endpoint is of HTTP/1.0 need not cost the
    // client its connection.
    *rsp.version_mut() = Version::HTTP_11;
    let headers = rsp.headers_mut();
    let is_coded = headers.contains_key(TRANSFER_ENCODING);
    if is_coded && !is_chunked(headers) {
        return broken("a transfer coding other than chunked");
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(rsp);
    };
    if is_coded {
        return broken("both Content-Length and Transfer-Encoding");
    }
    let several = length.as_bytes().contains(&b',');
    if several || lengths.next().is_some() {
        // hyper has seen to it that they are all the same.
        let one = length.as_bytes().split(|b| *b == b',').next();
        let one = one.and_then(|one| http::HeaderValue::from_bytes(one.trim_ascii()).ok());
        match one {
            Some(one) => headers.insert(CONTENT_LENGTH, one),
            None => return broken("Content-Length"),
        };
    }
    Ok(rsp)
}

/// Returns true if the headers name the coding `chunked` once, and no other.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(TRANSFER_ENCODING).iter();
    let first = all.next();
    all.next().is_none()
        && first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

#[derive(Debug)]
struct Ambiguous(&'static str);

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Ambiguous {}
