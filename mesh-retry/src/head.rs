//! The parts of a request's head that a retry layer reads or keeps.

use crate::backoff::MESH_ATTEMPT_NAME;
use http::{Extensions, HeaderMap};
use mesh_core::{Route, RpcKind};

/// The request headers that matter for retries, found in one pass.
///
/// One pass is faster than a lookup for each name.
#[derive(Debug, Default)]
pub(crate) struct RequestHints {
    /// The request asks for an upgrade, which is never repeated.
    pub(crate) upgrade: bool,
    content_type: Option<RpcKind>,
    attempt: Option<u32>,
}

impl RequestHints {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut hints = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "upgrade" => hints.upgrade = true,
                "content-type" => {
                    let kind = || RpcKind::of_content_type(value.as_bytes());
                    hints.content_type.get_or_insert_with(kind);
                }
                MESH_ATTEMPT_NAME => {
                    let number = || value.to_str().ok()?.parse().ok();
                    hints.attempt.get_or_insert_with(|| number().unwrap_or(0));
                }
                _ => {}
            }
        }
        hints
    }

    /// The protocol of the call, as [`RpcKind::of`] finds it.
    pub(crate) fn kind(&self) -> RpcKind {
        self.content_type.unwrap_or_default()
    }

    /// Returns the number of attempts that clients above made before this one.
    pub(crate) fn attempts_before(&self) -> u32 {
        self.attempt.map_or(0, |number| number.saturating_sub(1))
    }
}

/// Copies the extensions for further attempts; nothing if the route is the only one.
///
/// A copy takes three allocations or more. The route is stored elsewhere and inserted again into
/// each attempt, and most requests carry nothing else.
pub(crate) fn kept_extensions(extensions: &Extensions) -> Extensions {
    match extensions.len() == 1 && extensions.get::<Route>().is_some() {
        true => Extensions::new(),
        false => extensions.clone(),
    }
}

#[cfg(test)]
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
        let hints = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let hints = RequestHints::of(&headers);
            (hints.upgrade, hints.kind(), hints.attempts_before())
        };
        assert_eq!(hints(&[]), (false, RpcKind::Http, 0));
        assert_eq!(
            hints(&[
                ("content-type", "application/grpc+proto"),
                ("mesh-attempt", "3"),
                ("upgrade", "websocket"),
                ("content-type", "text/plain"),
                ("mesh-attempt", "9"),
            ]),
            (true, RpcKind::Grpc, 2)
        );
        assert_eq!(
            hints(&[("content-type", "text/plain")]),
            (false, RpcKind::Http, 0)
        );
        for nonsense in ["", "-1", "x", "99999999999"] {
            let headers = [("mesh-attempt", nonsense), ("mesh-attempt", "5")];
            assert_eq!(hints(&headers), (false, RpcKind::Http, 0), "{nonsense:?}");
        }
    }
}
