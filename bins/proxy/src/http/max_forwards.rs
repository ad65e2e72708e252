//! `Max-Forwards` of TRACE and OPTIONS (RFC 9110, 7.6.2), which follow a request from hop to hop.

use crate::http::respond::ResponseBody;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, MAX_FORWARDS,
        PROXY_AUTHORIZATION,
    },
};
use std::fmt::Write as _;

/// Headers that a TRACE does not give back (RFC 9110, 9.3.8).
const SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// Counts this proxy as a hop of `req`. Returns the response to a request that may go no further.
pub(crate) fn last_hop<T, B>(req: &mut Request<T>) -> Option<Response<ResponseBody<B>>> {
    if *req.method() != Method::OPTIONS && *req.method() != Method::TRACE {
        return None;
    }
    let hops = req.headers().get(MAX_FORWARDS)?.to_str().ok()?;
    // `parse` would take a sign, too.
    let is_number = hops.bytes().all(|b| b.is_ascii_digit());
    let hops: u64 = hops.parse().ok().filter(|_| is_number)?;
    if let Some(left) = hops.checked_sub(1) {
        req.headers_mut().insert(MAX_FORWARDS, left.into());
        return None;
    }
    let received = match *req.method() == Method::TRACE {
        true => received(req).into(),
        false => Bytes::new(),
    };
    let length = received.len().into();
    let mut rsp = Response::new(ResponseBody::Full { bytes: received });
    let headers = rsp.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    if *req.method() == Method::TRACE {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    }
    Some(rsp)
}

/// The head of `req` in the form of HTTP/1.
fn received<T>(req: &Request<T>) -> String {
    let mut text = format!("{} {} {:?}\r\n", req.method(), req.uri(), req.version());
    for (name, value) in req.headers() {
        if !SECRET.contains(name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    text + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(method: Method, hops: &str) -> (bool, String) {
        let req = Request::builder()
            .method(method)
            .header("max-forwards", hops);
        let mut req = req.body(()).unwrap();
        let answered = last_hop::<_, String>(&mut req).is_some();
        let left = req.headers()["max-forwards"].to_str().unwrap().to_owned();
        (answered, left)
    }

    #[test]
    fn hops_are_counted_down_to_the_last() {
        for (method, hops, expected) in [
            (Method::OPTIONS, "0", (true, "0")),
            (Method::TRACE, "0", (true, "0")),
            (Method::OPTIONS, "1", (false, "0")),
            (Method::TRACE, "10", (false, "9")),
            // Others need not obey it.
            (Method::GET, "0", (false, "0")),
            // Not numbers of hops.
            (Method::TRACE, "", (false, "")),
            (Method::TRACE, "+1", (false, "+1")),
            (Method::TRACE, "-1", (false, "-1")),
            (
                Method::TRACE,
                "99999999999999999999",
                (false, "99999999999999999999"),
            ),
        ] {
            let (answered, left) = after(method.clone(), hops);
            assert_eq!((answered, &*left), expected, "{method} {hops:?}");
        }
    }
}
