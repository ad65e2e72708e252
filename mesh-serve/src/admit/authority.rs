use super::Refusal;
use http::{HeaderValue, Request, StatusCode, Version, header::HOST, uri::Scheme};

/// The authority that a request names, in its target or its Host: afterwards it names no other.
///
/// A Host beside an absolute target is replaced (RFC 9112, 3.2.2), and beside `:authority` it goes.
/// Two of them are refused, and none but in HTTP/1.0 (3.2); so is one that could be read as something
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
            // RFC 9113, 8.3.1.
            None if http2 => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "neither :authority nor Host",
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
            (V2, "/", &[], None),
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
}
