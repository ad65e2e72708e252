use crate::Fault;
use http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE};
use std::fmt;

/// The class of an exchange: success or failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The caller got what it asked for, or was told why not.
    Success,
    /// The service failed.
    Failure,
}

impl Class {
    /// The value of the metric label `classification`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// Returns true for [`Class::Failure`].
    pub fn is_failure(self) -> bool {
        self == Self::Failure
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The properties of an exchange that are known at the response head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    request_is_grpc: bool,
    status: StatusCode,
    headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    /// `request_is_grpc` must be asked of the request before it is sent on, with
    /// [`RpcKind::has_grpc_status`](crate::RpcKind::has_grpc_status).
    pub fn new(request_is_grpc: bool, status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self {
            request_is_grpc,
            status,
            headers,
        }
    }

    /// Returns true if `req` is a gRPC call: its content type begins with `application/grpc`.
    pub fn is_grpc<B>(req: &Request<B>) -> bool {
        req.headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
    }

    /// Returns true if the request was a call that ends with a status of gRPC, or one that stands for it.
    pub fn request_is_grpc(&self) -> bool {
        self.request_is_grpc
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response's headers.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }
}

/// The end of a response.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum End<'a> {
    /// Its body was read to the end, with these trailers; or those that stand in its last frame, as
    /// [`StatusReader`](crate::StatusReader) has them.
    Trailers(Option<&'a HeaderMap>),
    /// Its body broke.
    Error(Fault),
    /// Its reader went away before the end.
    Dropped,
}

/// Decides how an exchange counts: by its head if it can, else at its end.
///
/// Object-safe on purpose: a classifier changes while the program runs, and no middleware gains
/// a type parameter for it.
pub trait Classify: Send + Sync + 'static {
    /// Called with `end` absent when the head arrives: `None` then says that it is too early to
    /// tell. Called again with the end; `None` then leaves the exchange uncounted as to class.
    fn classify(&self, head: &Head<'_>, end: Option<End<'_>>) -> Option<Class>;
}

/// gRPC by `grpc-status`, everything else by status: 5xx is a failure. A body is not looked into: an
/// error of GraphQL within a 200, for example, is a success.
///
/// gRPC-web and streams of Connect count as gRPC; layers give this the status in their last frame.
/// Unary calls of Connect have an HTTP status.
///
/// Failing gRPC codes are 2 UNKNOWN, 4 DEADLINE_EXCEEDED, 7 PERMISSION_DENIED, 13 INTERNAL,
/// 14 UNAVAILABLE and 15 DATA_LOSS, as in Linkerd. A gRPC response without any status that
/// ended well is a success, as there; one that broke is a failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultClassify;

impl DefaultClassify {
    /// The class of a gRPC status code.
    pub fn grpc(code: u16) -> Class {
        match code {
            2 | 4 | 7 | 13 | 14 | 15 => Class::Failure,
            _ => Class::Success,
        }
    }

    /// The gRPC status in a response's headers or trailers.
    pub fn grpc_status(headers: &HeaderMap) -> Option<u16> {
        // A look at each name takes less than a search of a map this small.
        let (_, status) = headers
            .iter()
            .find(|(name, _)| name.as_str() == "grpc-status")?;
        status.to_str().ok()?.parse().ok()
    }

    fn status(status: StatusCode) -> Class {
        if status.is_server_error() {
            Class::Failure
        } else {
            Class::Success
        }
    }
}

impl Classify for DefaultClassify {
    fn classify(&self, head: &Head<'_>, end: Option<End<'_>>) -> Option<Class> {
        if matches!(end, Some(End::Error(_))) {
            return Some(Class::Failure);
        }
        if !head.request_is_grpc() {
            return Some(Self::status(head.status()));
        }
        if let Some(code) = Self::grpc_status(head.headers()) {
            return Some(Self::grpc(code));
        }
        if head.status().is_server_error() {
            return Some(Class::Failure);
        }
        match end {
            Some(End::Trailers(trailers)) => Some(
                trailers
                    .and_then(Self::grpc_status)
                    .map_or(Class::Success, Self::grpc),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn grpc_trailers(code: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            "grpc-status".parse().unwrap(),
            HeaderValue::from_static(code),
        )])
    }

    fn classify(
        grpc: bool,
        status: u16,
        headers: &HeaderMap,
        end: Option<End<'_>>,
    ) -> Option<Class> {
        let status = StatusCode::from_u16(status).unwrap();
        DefaultClassify.classify(&Head::new(grpc, status, headers), end)
    }

    #[test]
    fn plain_http_is_decided_by_the_head() {
        let none = HeaderMap::new();
        assert_eq!(classify(false, 200, &none, None), Some(Class::Success));
        assert_eq!(classify(false, 429, &none, None), Some(Class::Success));
        assert_eq!(classify(false, 503, &none, None), Some(Class::Failure));
    }

    #[test]
    fn a_broken_body_is_a_failure_whatever_the_head_said() {
        let none = HeaderMap::new();
        let end = Some(End::Error(Fault::Reset));
        assert_eq!(classify(false, 200, &none, end), Some(Class::Failure));
        assert_eq!(
            classify(true, 200, &grpc_trailers("0"), end),
            Some(Class::Failure)
        );
    }

    #[test]
    fn grpc_waits_for_its_trailers() {
        let none = HeaderMap::new();
        assert_eq!(classify(true, 200, &none, None), None);
        for (code, class) in [
            ("0", Class::Success),
            ("14", Class::Failure),
            ("8", Class::Success),
        ] {
            let trailers = grpc_trailers(code);
            let end = Some(End::Trailers(Some(&trailers)));
            assert_eq!(classify(true, 200, &none, end), Some(class), "code {code}");
        }
        assert_eq!(
            classify(true, 200, &none, Some(End::Trailers(None))),
            Some(Class::Success)
        );
        assert_eq!(classify(true, 200, &none, Some(End::Dropped)), None);
    }

    #[test]
    fn grpc_trailers_only_replies_are_decided_at_once() {
        assert_eq!(
            classify(true, 200, &grpc_trailers("2"), None),
            Some(Class::Failure)
        );
        assert_eq!(
            classify(true, 200, &grpc_trailers("5"), None),
            Some(Class::Success)
        );
    }
}
