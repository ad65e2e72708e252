//! What a retry layer looks at in a request's head, and what it keeps of it.

use crate::backoff::MESH_ATTEMPT_NAME;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, request};
use mesh_core::Route;

/// What a request's headers say of retries, found in one pass over all of them: to look up each
/// would take longer.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// What follows an upgrade is not ours to repeat.
    pub(crate) upgrade: bool,
    content_type: Option<bool>,
    attempt: Option<u32>,
}

impl Said {
    pub(crate) fn by(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "upgrade" => said.upgrade = true,
                "content-type" => {
                    let is_grpc = || value.as_bytes().starts_with(b"application/grpc");
                    said.content_type.get_or_insert_with(is_grpc);
                }
                MESH_ATTEMPT_NAME => {
                    let number = || value.to_str().ok()?.parse().ok();
                    said.attempt.get_or_insert_with(|| number().unwrap_or(0));
                }
                _ => {}
            }
        }
        said
    }

    /// Whether the request is a gRPC call: [`mesh_core::Head::is_grpc`].
    pub(crate) fn is_grpc(&self) -> bool {
        self.content_type == Some(true)
    }

    /// How often the request was sent before it came here: it may itself be a retry of somebody
    /// above.
    pub(crate) fn attempts_before(&self) -> u32 {
        self.attempt.map_or(0, |number| number.saturating_sub(1))
    }
}

/// A request's head, as a list: it is kept for every request that may be retried, and made a
/// head again for the few that are. The index of a [`HeaderMap`] is not worth a copy until then.
pub(crate) struct Kept {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
}

impl Kept {
    /// A copy of `parts`, without the route if that is the one extension.
    ///
    /// A copy of extensions is three allocations or more, and the route is known apart: the next
    /// attempt gets it back. A profile's requests carry nothing else as a rule.
    pub(crate) fn of(parts: &request::Parts) -> Self {
        let only_route = parts.extensions.len() == 1 && parts.extensions.get::<Route>().is_some();
        let mut headers = Vec::with_capacity(parts.headers.len());
        headers.extend(parts.headers.iter().map(|(n, v)| (n.clone(), v.clone())));
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers,
            extensions: if only_route {
                Extensions::new()
            } else {
                parts.extensions.clone()
            },
        }
    }

    /// The head again; the values of one name in the order they had.
    pub(crate) fn to_parts(&self) -> request::Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.method.clone();
        parts.uri = self.uri.clone();
        parts.version = self.version;
        // Room for one more, which says that it is a retry. There were as many in a map before,
        // so they fit; only the room for all of them as names may not, where many share one.
        let _ = parts.headers.try_reserve(self.headers.len() + 1);
        for (name, value) in &self.headers {
            let _ = parts.headers.try_append(name.clone(), value.clone());
        }
        parts.extensions = self.extensions.clone();
        parts
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn a_head_that_was_kept_is_the_same_again() {
        let req = Request::put("http://host/path?query")
            .version(Version::HTTP_2)
            .header("a", "1")
            .header("cookie", "x")
            .header("b", "2")
            .header("cookie", "y")
            .extension(Route::new("r"))
            .extension(7_u8);
        let (parts, ()) = req.body(()).unwrap().into_parts();
        let again = Kept::of(&parts).to_parts();
        assert_eq!(again.method, parts.method);
        assert_eq!(again.uri, parts.uri);
        assert_eq!(again.version, parts.version);
        assert_eq!(again.headers, parts.headers);
        let cookies: Vec<_> = again.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["x", "y"]);
        assert_eq!(again.extensions.get(), Some(&7_u8));
        assert!(again.extensions.get::<Route>().is_some());
    }

    #[test]
    fn as_many_values_as_a_map_holds_are_kept() {
        let (mut parts, ()) = Request::new(()).into_parts();
        for number in 0..30_000_u32 {
            parts.headers.append("cookie", number.into());
        }
        assert_eq!(Kept::of(&parts).to_parts().headers, parts.headers);
    }

    #[test]
    fn the_route_alone_is_not_kept() {
        let mut req = Request::new(());
        req.extensions_mut().insert(Route::new("r"));
        let (parts, ()) = req.into_parts();
        assert!(Kept::of(&parts).to_parts().extensions.is_empty());
    }

    #[test]
    fn of_several_values_the_first_counts_as_it_does_for_other_layers() {
        let said = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let said = Said::by(&headers);
            (said.upgrade, said.is_grpc(), said.attempts_before())
        };
        assert_eq!(said(&[]), (false, false, 0));
        assert_eq!(
            said(&[
                ("content-type", "application/grpc+proto"),
                ("mesh-attempt", "3"),
                ("upgrade", "websocket"),
                ("content-type", "text/plain"),
                ("mesh-attempt", "9"),
            ]),
            (true, true, 2)
        );
        assert_eq!(said(&[("content-type", "text/plain")]), (false, false, 0));
        for nonsense in ["", "-1", "x", "99999999999"] {
            let headers = [("mesh-attempt", nonsense), ("mesh-attempt", "5")];
            assert_eq!(said(&headers), (false, false, 0), "{nonsense:?}");
        }
    }
}
