use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use std::fmt;

/// A copy of a request's head, from which the request can be sent again.
///
/// A copy is made of every retryable request, and becomes a head again for the few that are
/// retried. So the headers are copied as text into one allocation: a clone of a name or value is
/// cheap, but counts a reference, twice, and a head has many. Nor does the copy keep the buffer
/// alive that the request was read into.
#[derive(PartialEq, Eq)]
pub struct KeptHead {
    method: Method,
    uri: Uri,
    version: Version,
    /// A name, a colon and a value for each, then one of the two ends, neither of which can be in
    /// a value, as no colon can be in a name.
    headers: Vec<u8>,
}

const END: u8 = b'\n';

/// Of a value that is marked as sensitive.
const SENSITIVE_END: u8 = b'\r';

/// In bytes: most headers are shorter, and to measure them first would take as long as to grow.
const USUAL_LINE: usize = 64;

impl KeptHead {
    /// The head of `req` as it is now, without its extensions.
    pub fn of<B>(req: &Request<B>) -> Self {
        let mut headers = Vec::with_capacity(req.headers().len() * USUAL_LINE);
        for (name, value) in req.headers() {
            headers.extend_from_slice(name.as_str().as_bytes());
            headers.push(b':');
            headers.extend_from_slice(value.as_bytes());
            headers.push(match value.is_sensitive() {
                true => SENSITIVE_END,
                false => END,
            });
        }
        Self {
            method: req.method().clone(),
            uri: req.uri().clone(),
            version: req.version(),
            headers,
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request again, without body and extensions; values of one name in the order they had.
    ///
    /// There is room for one more header, if a map can hold one more.
    pub fn to_request(&self) -> Request<()> {
        let mut req = Request::new(());
        *req.method_mut() = self.method.clone();
        *req.uri_mut() = self.uri.clone();
        *req.version_mut() = self.version;
        let headers = req.headers_mut();
        // There were as many in a map before, so they fit; only the room for all of them as names
        // may not, where many share one.
        let _ = headers.try_reserve(self.lines().count() + 1);
        for line in self.lines() {
            let (name, value) = parse(line).expect("a header can be read that was written");
            let _ = headers.try_append(name, value);
        }
        req
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let is_end = |byte: &u8| [END, SENSITIVE_END].contains(byte);
        self.headers.split_inclusive(is_end)
    }
}

fn parse(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (end, line) = line.split_last()?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    // Names are in lower case, and this takes what it takes from HTTP/2, which is more than others.
    let name = HeaderName::from_lowercase(&line[..colon]).ok()?;
    let mut value = HeaderValue::from_bytes(&line[colon + 1..]).ok()?;
    value.set_sensitive(*end == SENSITIVE_END);
    Some((name, value))
}

impl fmt::Debug for KeptHead {
    /// Omits the headers, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptHead")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_was_kept_is_the_same_again() {
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        let req = Request::put("http://host/path?query")
            .version(Version::HTTP_2)
            .header("a", "1")
            .header("cookie", "x: y")
            .header("authorization", secret)
            .header("b", "")
            .header("cookie", "y")
            .body(())
            .unwrap();
        let again = KeptHead::of(&req).to_request();
        assert_eq!(again.method(), req.method());
        assert_eq!(again.uri(), req.uri());
        assert_eq!(again.version(), req.version());
        let lines = |req: &Request<()>| -> Vec<_> {
            let line = |(n, v): (&HeaderName, &HeaderValue)| (n.clone(), v.clone());
            req.headers().iter().map(line).collect()
        };
        assert_eq!(lines(&again), lines(&req));
        let sensitive = |(_, value): &(_, HeaderValue)| value.is_sensitive();
        assert_eq!(lines(&again).iter().position(sensitive), Some(3));
    }

    #[test]
    fn whatever_can_be_in_a_header_comes_back() {
        let mut req = Request::new(());
        for byte in 0..=u8::MAX {
            let around = [b'a', byte, b'z'];
            let names = [
                HeaderName::from_bytes(&around),
                HeaderName::from_lowercase(&around),
            ];
            for name in names.into_iter().flatten() {
                let value = HeaderValue::from_static("name");
                req.headers_mut().append(name, value);
            }
            for around in [&around[..], &[byte]] {
                if let Ok(value) = HeaderValue::from_bytes(around) {
                    req.headers_mut().append("value", value);
                }
            }
        }
        let again = KeptHead::of(&req).to_request();
        assert_eq!(again.headers(), req.headers());
        assert!(req.headers().len() > 500);
    }

    #[test]
    fn as_many_values_as_a_map_holds_are_kept() {
        let mut req = Request::new(());
        for number in 0..30_000_u32 {
            req.headers_mut().append("cookie", number.into());
        }
        let again = KeptHead::of(&req).to_request();
        assert_eq!(again.headers(), req.headers());
    }
}
