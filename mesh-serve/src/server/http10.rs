//! The persistence of connections over HTTP/1.0.

use http::{
    HeaderValue, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH},
};
use http_body::Body;

/// Makes hyper close the connection with `response` if only the close tells where it ends, or if it
/// says `close`.
///
/// hyper promises `keep-alive` to each client that asks for it, also where the body has no length,
/// and beside `close`. It does not to responses of HTTP/1.0.
pub(super) fn finish<B: Body>(response: &mut Response<B>) {
    let body = response.body();
    let headers = response.headers();
    let is_known = body.is_end_stream()
        || body.size_hint().exact().is_some()
        || headers.contains_key(CONTENT_LENGTH);
    if !is_known || headers.get_all(CONNECTION).iter().any(says_close) {
        *response.version_mut() = Version::HTTP_10;
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}

fn says_close(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&byte| byte == b',').any(|token| {
        let token = token.trim_ascii();
        token.eq_ignore_ascii_case(b"close")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{Empty, Full, StreamBody};
    use std::convert::Infallible;

    fn is_closed<B: Body>(mut response: Response<B>) -> bool {
        finish(&mut response);
        let connection = response.headers().get(CONNECTION);
        let closes = connection.is_some_and(|value| value == "close");
        assert_eq!(closes, response.version() == Version::HTTP_10);
        closes
    }

    fn streamed() -> impl Body<Data = Bytes> {
        type Frames = Vec<Result<http_body::Frame<Bytes>, Infallible>>;
        StreamBody::new(futures_util::stream::iter(Frames::new()))
    }

    #[test]
    fn only_a_response_of_known_length_keeps_the_connection() {
        assert!(!is_closed(Response::new(Full::new(Bytes::from("ok")))));
        assert!(!is_closed(Response::new(Empty::<Bytes>::new())));
        assert!(is_closed(Response::new(streamed())));
        let mut known = Response::new(streamed());
        known.headers_mut().insert(CONTENT_LENGTH, 2.into());
        assert!(!is_closed(known));
    }

    #[test]
    fn a_response_that_closes_says_nothing_else() {
        for said in ["close", "Close", "x, close"] {
            let mut response = Response::new(Full::new(Bytes::from("ok")));
            let said = HeaderValue::from_static(said);
            response.headers_mut().insert(CONNECTION, said);
            assert!(is_closed(response));
        }
    }
}
