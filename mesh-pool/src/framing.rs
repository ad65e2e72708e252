//! Responses that could be read in two ways.

use crate::SendError;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
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
    if is_coded && headers.contains_key(CONTENT_LENGTH) {
        return broken("both Content-Length and Transfer-Encoding");
    }
    match one_length(headers) {
        Ok(()) => Ok(rsp),
        Err(what) => broken(what),
    }
}

/// The response over HTTP/2, which says its length once.
pub(super) fn unambiguous_stream<B>(
    mut rsp: Response<B>,
    endpoint: SocketAddr,
) -> Result<Response<B>, SendError> {
    match one_length(rsp.headers_mut()) {
        Ok(()) => Ok(rsp),
        Err(what) => Err(SendError::new(Fault::Protocol, endpoint, Ambiguous(what))),
    }
}

/// Overhead of a field, in bytes, besides its name and its value (RFC 9113, 6.5.2).
const FIELD: usize = 32;

/// The size of a head or of trailers over HTTP/2, in bytes.
pub(super) fn size(fields: &HeaderMap) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD)
        .sum()
}

/// Removes all but one of several equal lengths (RFC 9110, 8.6).
fn one_length(headers: &mut HeaderMap) -> Result<(), &'static str> {
    let mut all = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = all.next() else {
        return Ok(());
    };
    if all.next().is_none() && !length.as_bytes().contains(&b',') {
        return Ok(());
    }
    let all = headers.get_all(CONTENT_LENGTH).iter();
    let mut all = all.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let one = all.next().unwrap_or_default().trim_ascii();
    if !all.all(|other| other.trim_ascii() == one) {
        return Err("Content-Length headers that differ");
    }
    let one = HeaderValue::from_bytes(one).map_err(|_| "Content-Length")?;
    headers.insert(CONTENT_LENGTH, one);
    Ok(())
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
