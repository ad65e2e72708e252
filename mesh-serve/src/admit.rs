//! Admission of requests: those that can be read in one way only, and are not too large.

use crate::Limits;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::Scheme,
};
use std::{borrow::Cow, error::Error, fmt};

/// A request that the server refuses, and the status that it is answered with.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    /// Refuses with `status`, for the reason that `text` gives.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refusal {}

/// Refuses a request that is larger than `limits` or ambiguous: [`size`], [`coding`] and
/// [`authority`], but for CONNECT, whose target is an authority.
///
/// # Errors
///
/// The refusal to answer with.
pub fn request<B>(req: &mut Request<B>, limits: &Limits) -> Result<(), Refusal> {
    size(req, limits)?;
    coding(req)?;
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
/// 501.
pub fn coding<B>(req: &Request<B>) -> Result<(), Refusal> {
    match req.headers().get(TRANSFER_ENCODING) {
        None => Ok(()),
        Some(_) if is_chunked(req.headers()) => Ok(()),
        Some(_) => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "a transfer coding other than chunked",
        )),
    }
}

/// Returns true if the headers name the coding `chunked` once, and no other.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(TRANSFER_ENCODING).iter();
    let first = all.next();
    all.next().is_none()
        && first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// The authority that a request names, in its target or its Host: afterwards it names no other.
///
/// A Host beside an absolute target is replaced (RFC 9112, 3.2.2), and beside `:authority` it goes.
/// Two of them are refused, and none in HTTP/1.1 (3.2); so is one that could be read as something
/// else than a host and a port.
///
/// # Errors
///
/// 400, or 501 for an absolute target that is not `http`.
pub fn authority<B>(req: &mut Request<B>) -> Result<Option<HeaderValue>, Refusal> {
    let mut hosts = req.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "more than one Host"));
    }
    let http2 = req.version() == Version::HTTP_2;
    let Some(target) = req.uri().authority() else {
        return match host {
            Some(host) if is_authority(host.as_bytes()) => Ok(Some(host.clone())),
            Some(_) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "Host is not HOST:PORT",
            )),
            None if req.version() == Version::HTTP_11 => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "no Host"))
            }
            None => Ok(None),
        };
    };
    if !http2
        && req
            .uri()
            .scheme()
            .is_some_and(|scheme| *scheme != Scheme::HTTP)
    {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "an absolute target that is not http, https included, is not supported",
        ));
    }
    if !http2 && req.uri().scheme().is_none() {
        // RFC 9112, 3.2.3.
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "a bare authority is the target of CONNECT alone",
        ));
    }
    let target = target.as_str();
    if http2 && target.contains('@') {
        // RFC 9113, 8.3.1.
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            ":authority with a user",
        ));
    }
    let target = target.rsplit_once('@').map_or(target, |(_, host)| host);
    if let Some(known) = host
        && known == target
        && !http2
    {
        return Ok(Some(known.clone()));
    }
    let target = HeaderValue::from_str(target)
        .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "a target that is no header value"))?;
    if http2 {
        req.headers_mut().remove(HOST);
    } else {
        req.headers_mut().insert(HOST, target.clone());
    }
    Ok(Some(target))
}

/// Returns true if this is a host, perhaps with a port, or nothing at all (RFC 9110, 7.2): no user, no
/// path, no list of two.
fn is_authority(host: &[u8]) -> bool {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(b);
    host.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, uri: &str, hosts: &[&str]) -> Request<()> {
        let builder = Request::builder().version(version).uri(uri);
        let builder = hosts.iter().fold(builder, |b, host| b.header(HOST, *host));
        builder.body(()).unwrap()
    }

    /// The authority, and the `Host` of the request afterwards.
    fn named(mut req: Request<()>) -> Option<(String, Option<HeaderValue>)> {
        let named = authority(&mut req).ok()?;
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        Some((
            named.map(text).unwrap_or_default(),
            req.headers().get(HOST).cloned(),
        ))
    }

    #[test]
    fn one_host_is_left_or_the_request_is_refused() {
        const V1: Version = Version::HTTP_11;
        const V2: Version = Version::HTTP_2;
        for (version, uri, hosts, expected) in [
            (V1, "/", &["a:1"][..], Some(("a:1", Some("a:1")))),
            (V1, "/", &[""], Some(("", Some("")))),
            (V1, "/", &[], None),
            (Version::HTTP_10, "/", &[], Some(("", None))),
            (V1, "/", &["a", "a"], None),
            (V1, "/", &["a, b"], None),
            (V1, "/", &["a,b"], None),
            (V1, "/", &["user@a"], None),
            (V1, "/", &["a/../b"], None),
            (V1, "/", &["[::1]:80"], Some(("[::1]:80", Some("[::1]:80")))),
            (V1, "http://a/", &["b"], Some(("a", Some("a")))),
            (V1, "http://u:p@a/", &["b"], Some(("a", Some("a")))),
            (V1, "https://a/", &["a"], None),
            (V1, "a:1", &["a"], None),
            (V2, "http://a/", &["b"], Some(("a", None))),
            (V2, "http://u@a/", &[], None),
            (V2, "/", &["b"], Some(("b", Some("b")))),
        ] {
            let expected = expected.map(|(name, host)| {
                let host = host.map(|host| HeaderValue::from_str(host).unwrap());
                (name.to_owned(), host)
            });
            assert_eq!(
                named(request(version, uri, hosts)),
                expected,
                "{uri} {hosts:?}"
            );
        }
    }

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
}
