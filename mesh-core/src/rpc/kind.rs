use super::StatusReader;
use http::{HeaderMap, Request, header::CONTENT_TYPE};

/// The protocol of a call, by the content type of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RpcKind {
    /// Plain HTTP, unary calls of Connect included: the HTTP status says what came of it.
    #[default]
    Http,
    /// gRPC: the status is in the trailers, or in the head if there is no body.
    Grpc,
    /// gRPC-web, binary or text: the status is in the last frame of the body, or in the head.
    GrpcWeb,
    /// A stream of Connect: the status is in the last frame of the body.
    ConnectStream,
}

impl RpcKind {
    /// The protocol of `req`.
    pub fn of<B>(req: &Request<B>) -> Self {
        let value = req.headers().get(CONTENT_TYPE);
        value.map_or(Self::Http, |value| Self::of_content_type(value.as_bytes()))
    }

    /// The protocol of messages with this content type.
    #[inline]
    pub fn of_content_type(value: &[u8]) -> Self {
        match value.strip_prefix(b"application/") {
            Some(kind) if kind.starts_with(b"grpc") => match kind.starts_with(b"grpc-web") {
                true => Self::GrpcWeb,
                false => Self::Grpc,
            },
            Some(kind) if kind.starts_with(b"connect+") => Self::ConnectStream,
            _ => Self::Http,
        }
    }

    /// Returns true if a call ends with a status of gRPC, or one that stands for it.
    #[inline]
    pub fn has_grpc_status(self) -> bool {
        self != Self::Http
    }

    /// The reader of the status in the body of a response with these headers, if it is there.
    pub fn status_reader(self, response: &HeaderMap) -> Option<Box<StatusReader>> {
        match self {
            Self::Http | Self::Grpc => None,
            Self::GrpcWeb | Self::ConnectStream => StatusReader::of(response).map(Box::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells_the_protocol() {
        for (value, kind) in [
            ("application/grpc", RpcKind::Grpc),
            ("application/grpc+proto", RpcKind::Grpc),
            ("application/grpc-web", RpcKind::GrpcWeb),
            ("application/grpc-web+proto", RpcKind::GrpcWeb),
            ("application/grpc-web-text+proto", RpcKind::GrpcWeb),
            ("application/connect+json", RpcKind::ConnectStream),
            ("application/connect+proto", RpcKind::ConnectStream),
            ("application/json", RpcKind::Http),
            ("application/proto", RpcKind::Http),
            ("text/grpc", RpcKind::Http),
            ("", RpcKind::Http),
        ] {
            let req = Request::builder().header(CONTENT_TYPE, value).body(());
            assert_eq!(RpcKind::of(&req.unwrap()), kind, "{value}");
        }
        assert_eq!(RpcKind::of(&Request::new(())), RpcKind::Http);
    }
}
