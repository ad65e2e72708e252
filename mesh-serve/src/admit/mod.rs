//! Admission of requests: those that can be read in one way only, and are not too large.

mod authority;
mod refusal;

pub use self::{authority::authority, refusal::Refusal};

use crate::Limits;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// Refuses a request that is larger than `limits` or ambiguous: [`size`], [`coding`], [`length`] and
/// [`authority`], but for CONNECT, whose target is an authority.
///
/// # Errors
///
/// The refusal to answer with.
pub fn request<B>(req: &mut Request<B>, limits: &Limits) -> Result<(), Refusal> {
    size(req, limits)?;
    coding(req)?;
    length(req)?;
    if req.method() != Method::CONNECT {
        authority(req)?;
    }
    Ok(())
}

/// Refuses a head that is larger than `limits`; HTTP/1 and HTTP/2 count differently by themselves.
///
/// # Errors
///
/// 414 or 431, and the name of the limit.
pub fn size<B>(req: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let uri = req.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let target = path
        + uri
            .authority()
            .map_or(0, |authority| authority.as_str().len());
    if target > limits.uri_bytes {
        let text = format!(
            "a target of more than {} bytes ({})",
            limits.uri_bytes, limits.names.uri_bytes
        );
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, text));
    }
    let headers = req.headers();
    if headers.len() > limits.headers {
        let (most, name) = (limits.headers, limits.names.headers);
        let text = format!("more than {most} headers ({name})");
        return Err(Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            text,
        ));
    }
    let line = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if target + headers.iter().map(line).sum::<usize>() > limits.head_bytes {
        let text = format!(
            "a head of more than {} bytes ({})",
            limits.head_bytes, limits.names.head_bytes
        );
        return Err(Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            text,
        ));
    }
    Ok(())
}

/// Refuses a body in a coding that would have to be undone before the next hop (RFC 9112, 7):
/// `Transfer-Encoding` ends here, and with it the word about any coding but `chunked`.
///
/// # Errors
///
/// 501, with which the connection closes: the end of such a body is not known (6.1).
pub fn coding<B>(req: &Request<B>) -> Result<(), Refusal> {
    match req.headers().get(TRANSFER_ENCODING) {
        None => Ok(()),
        Some(_) if is_chunked(req.headers()) => Ok(()),
        Some(_) => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "a transfer coding other than chunked",
        )
        .closing()),
    }
}

/// Returns true if the headers name the coding `chunked` once, and no other.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(TRANSFER_ENCODING).iter();
    let first = all.next();
    all.next().is_none()
        && first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Removes all but one of several `Content-Length` headers that say the same (RFC 9110, 8.6).
///
/// HTTP/2 passes on each that a client sends.
///
/// # Errors
///
/// 400 if they differ.
pub fn length<B>(req: &mut Request<B>) -> Result<(), Refusal> {
    let mut all = req.headers().get_all(CONTENT_LENGTH).iter();
    let Some(first) = all.next() else {
        return Ok(());
    };
    let mut others = all.peekable();
    if others.peek().is_none() {
        return Ok(());
    }
    if others.any(|other| other != first) {
        let text = "Content-Length headers that differ";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
    }
    let first = first.clone();
    req.headers_mut().insert(CONTENT_LENGTH, first);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_named_by_the_error_that_it_causes() {
        let limits = Limits {
            headers: 2,
            head_bytes: 60,
            uri_bytes: 20,
            ..Limits::default()
        };
        let refusal = |uri: &str, headers: &[(&'static str, &str)]| {
            let builder = Request::builder().uri(uri);
            let builder = headers.iter().fold(builder, |b, (k, v)| b.header(*k, *v));
            let req = builder.body(()).unwrap();
            size(&req, &limits).err().map(|error| error.to_string())
        };
        let long = "x".repeat(60);
        assert_eq!(refusal("/", &[("a", "1"), ("b", "2")]), None);
        for (uri, headers, flag) in [
            ("/aaaaaaaaaaaaaaaaaaaa", &[][..], "limits.uri_bytes"),
            ("/", &[("a", ""), ("b", ""), ("a", "")], "limits.headers"),
            ("/", &[("a", &*long)], "limits.head_bytes"),
        ] {
            let text = refusal(uri, headers).unwrap();
            assert!(text.contains(flag), "{text}");
        }
    }

    #[test]
    fn equal_lengths_are_said_once_and_others_are_refused() {
        for (lengths, expected) in [
            (&[][..], Some(&[][..])),
            (&["5"], Some(&["5"])),
            (&["5", "5", "5"], Some(&["5"])),
            (&["5", "6"], None),
            (&["5", "5", "6"], None),
            (&["5", "05"], None),
        ] {
            let builder = lengths.iter().fold(Request::builder(), |b, length| {
                b.header(CONTENT_LENGTH, *length)
            });
            let mut req = builder.body(()).unwrap();
            let admitted = length(&mut req).is_ok();
            assert_eq!(admitted, expected.is_some(), "{lengths:?}");
            if let Some(expected) = expected {
                let left = req.headers().get_all(CONTENT_LENGTH);
                assert!(left.iter().eq(expected), "{lengths:?}: {left:?}");
            }
        }
    }
}
