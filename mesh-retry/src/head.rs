//! What a retry layer looks at in a request's head, and what it keeps of it.

use crate::backoff::MESH_ATTEMPT_NAME;
use http::{Extensions, HeaderMap};
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

/// What further attempts get of the extensions of the first: a copy, but of the route if that is
/// the only one.
///
/// A copy of extensions is three allocations or more, and the route is known apart: the next
/// attempt gets it back. A profile's requests carry nothing else as a rule.
pub(crate) fn kept_extensions(extensions: &Extensions) -> Extensions {
    match extensions.len() == 1 && extensions.get::<Route>().is_some() {
        true => Extensions::new(),
        false => extensions.clone(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_route_alone_is_not_kept() {
        let mut extensions = Extensions::new();
        extensions.insert(Route::new("r"));
        assert!(kept_extensions(&extensions).is_empty());
        extensions.insert(7_u8);
        let kept = kept_extensions(&extensions);
        assert_eq!(kept.get(), Some(&7_u8));
        assert!(kept.get::<Route>().is_some());
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
