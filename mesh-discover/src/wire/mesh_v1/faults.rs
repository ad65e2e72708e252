//! `mesh.v1.Faults`: faults that sidecars inject into requests.
//!
//! `faults.proto` beside this file is the same in protobuf. With a controller that lacks the service
//! nothing is injected.

use super::MAX_MESSAGE;
use crate::{FaultKind, FaultRule};
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio_stream::Stream;
use tonic::{
    GrpcMethod, Request, Response, Status, Streaming,
    body::Body,
    client::Grpc as Client,
    codegen::{
        Body as HttpBody, BoxFuture, Service, StdError,
        http::{self, uri::PathAndQuery},
    },
    server::{Grpc, NamedService, ServerStreamingService},
    transport::Channel,
};
use tonic_prost::ProstCodec;

/// The one method.
const WATCH: &str = "/mesh.v1.Faults/Watch";

/// Share of all requests, in millionths.
pub const WHOLE_SHARE: u32 = 1_000_000;

/// Request of a client.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WatchFaultsRequest {
    /// The client, as in `GetDestination` of the destination API.
    #[prost(string, tag = "1")]
    pub context_token: String,
}

/// All faults of a client; replaces every earlier message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FaultSet {
    /// The faults.
    #[prost(message, repeated, tag = "1")]
    pub faults: Vec<Fault>,
}

/// A fault to inject into requests to a service.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Fault {
    /// Number of the fault, the same in every message about it.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Full name of the service that is called, without a port.
    #[prost(string, tag = "2")]
    pub service: String,
    /// Name of the route; if empty, all requests.
    #[prost(string, tag = "3")]
    pub route: String,
    /// Share of the requests in millionths, from 1 to [`WHOLE_SHARE`].
    #[prost(uint32, tag = "4")]
    pub share: u32,
    /// Milliseconds until the fault ends by itself, above zero.
    #[prost(uint64, tag = "5")]
    pub remaining_ms: u64,
    /// The fault; without one of these, nothing is injected.
    #[prost(oneof = "Kind", tags = "6, 7, 8, 9")]
    pub kind: Option<Kind>,
}

/// Kind of a fault.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Kind {
    /// HTTP status, from 400 to 599.
    #[prost(uint32, tag = "6")]
    Status(u32),
    /// gRPC status, from 1 to 16.
    #[prost(uint32, tag = "7")]
    GrpcStatus(u32),
    /// A wait before the request is sent.
    #[prost(message, tag = "8")]
    Delay(Delay),
    /// A connection that breaks.
    #[prost(message, tag = "9")]
    Reset(Reset),
}

/// Shortest and longest delay, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Delay {
    /// The shortest.
    #[prost(uint64, tag = "1")]
    pub min_ms: u64,
    /// The longest.
    #[prost(uint64, tag = "2")]
    pub max_ms: u64,
}

/// A connection that breaks.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Reset {}

/// The message for `rule`, of which `remaining` is left.
pub fn fault_to_wire(rule: &FaultRule, remaining: Duration) -> Fault {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Fault {
        id: rule.id,
        service: rule.service.to_string(),
        route: rule.route.as_deref().unwrap_or_default().to_owned(),
        share: rule.share,
        remaining_ms: millis(remaining),
        kind: Some(match rule.kind {
            FaultKind::Status(status) => Kind::Status(status.into()),
            FaultKind::GrpcStatus(code) => Kind::GrpcStatus(code.into()),
            FaultKind::Delay { min, max } => Kind::Delay(Delay {
                min_ms: millis(min),
                max_ms: millis(max),
            }),
            FaultKind::Reset => Kind::Reset(Reset {}),
        }),
    }
}

/// The fault that a message of `now` describes; `None` if it is over, or of an unknown kind.
pub fn fault_from_wire(fault: &Fault, now: Instant) -> Option<FaultRule> {
    let narrow = |number: u32| u16::try_from(number).ok();
    let kind = match fault.kind.as_ref()? {
        Kind::Status(status) => FaultKind::Status(narrow(*status)?),
        Kind::GrpcStatus(code) => FaultKind::GrpcStatus(narrow(*code)?),
        Kind::Delay(Delay { min_ms, max_ms }) => FaultKind::Delay {
            min: Duration::from_millis(*min_ms),
            max: Duration::from_millis(*max_ms),
        },
        Kind::Reset(Reset {}) => FaultKind::Reset,
    };
    let ends = now.checked_add(Duration::from_millis(fault.remaining_ms))?;
    (ends > now).then(|| FaultRule {
        id: fault.id,
        service: fault.service.trim_end_matches('.').into(),
        route: (!fault.route.is_empty()).then(|| fault.route.as_str().into()),
        share: fault.share,
        kind,
        ends,
    })
}

/// Follows the faults of the client that `context_token` describes.
///
/// # Errors
///
/// The status with which the controller refuses, or that of a connection that failed.
pub async fn watch_faults(
    channel: Channel,
    context_token: String,
) -> Result<Streaming<FaultSet>, Status> {
    let mut grpc = Client::new(channel).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready()
        .await
        .map_err(|error| Status::from_error(error.into()))?;
    let mut request = Request::new(WatchFaultsRequest { context_token });
    let method = GrpcMethod::new("mesh.v1.Faults", "Watch");
    request.extensions_mut().insert(method);
    let path = PathAndQuery::from_static(WATCH);
    let codec = ProstCodec::default();
    let answer = grpc.server_streaming(request, path, codec).await?;
    Ok(answer.into_inner())
}

/// Handles the requests of clients in a controller.
#[tonic::async_trait]
pub trait Faults: Send + Sync + 'static {
    /// Stream of all faults of a client, again after each change.
    type WatchStream: Stream<Item = Result<FaultSet, Status>> + Send + 'static;

    /// Follows the faults of a client.
    async fn watch(
        &self,
        request: Request<WatchFaultsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status>;
}

/// The service `mesh.v1.Faults`, for a tonic server.
#[derive(Debug)]
pub struct FaultsServer<T>(Arc<T>);

impl<T> FaultsServer<T> {
    /// Creates a gRPC service from `faults`.
    pub fn new(faults: T) -> Self {
        Self(Arc::new(faults))
    }
}

impl<T> Clone for FaultsServer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> NamedService for FaultsServer<T> {
    const NAME: &'static str = "mesh.v1.Faults";
}

impl<T, B> Service<http::Request<B>> for FaultsServer<T>
where
    T: Faults,
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<B>) -> Self::Future {
        let method = Watch(self.0.clone());
        Box::pin(async move {
            if req.uri().path() != WATCH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_MESSAGE);
            Ok(grpc.server_streaming(method, req).await)
        })
    }
}

struct Watch<T>(Arc<T>);

impl<T: Faults> ServerStreamingService<WatchFaultsRequest> for Watch<T> {
    type Response = FaultSet;
    type ResponseStream = T::WatchStream;
    type Future = BoxFuture<Response<T::WatchStream>, Status>;

    fn call(&mut self, request: Request<WatchFaultsRequest>) -> Self::Future {
        let faults = self.0.clone();
        Box::pin(async move { faults.watch(request).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn the_numbers_on_the_wire_are_those_of_the_proto_file() {
        let set = FaultSet {
            faults: vec![Fault {
                id: 1,
                service: "s".into(),
                route: "r".into(),
                share: 2,
                remaining_ms: 3,
                kind: Some(Kind::Delay(Delay {
                    min_ms: 4,
                    max_ms: 5,
                })),
            }],
        };
        #[rustfmt::skip]
        let bytes = [
            0x0a, 18,
            0x08, 1, 0x12, 1, b's', 0x1a, 1, b'r', 0x20, 2, 0x28, 3, 0x42, 4, 0x08, 4, 0x10, 5,
        ];
        assert_eq!(set.encode_to_vec(), bytes);
        assert_eq!(FaultSet::decode(&bytes[..]).unwrap(), set);
        let proto = include_str!("faults.proto");
        for line in [
            "string context_token = 1;",
            "repeated Fault faults = 1;",
            "uint64 id = 1;",
            "string service = 2;",
            "string route = 3;",
            "uint32 share = 4;",
            "uint64 remaining_ms = 5;",
            "uint32 status = 6;",
            "uint32 grpc_status = 7;",
            "Delay delay = 8;",
            "Reset reset = 9;",
            "uint64 max_ms = 2;",
            "rpc Watch(WatchFaultsRequest) returns (stream FaultSet);",
        ] {
            assert!(proto.contains(line), "{line}");
        }
    }

    #[test]
    fn what_is_sent_is_read_back_and_what_is_over_is_not() {
        let now = tokio::time::Instant::now().into_std();
        let minute = Duration::from_secs(60);
        for kind in [
            FaultKind::Status(503),
            FaultKind::GrpcStatus(14),
            FaultKind::Delay {
                min: Duration::from_millis(200),
                max: Duration::from_secs(2),
            },
            FaultKind::Reset,
        ] {
            let rule = FaultRule {
                id: 7,
                service: "books.shop.svc.cluster.local".into(),
                route: Some("GET /".into()),
                share: 100_000,
                kind,
                ends: now + minute,
            };
            let wire = fault_to_wire(&rule, minute);
            assert_eq!(fault_from_wire(&wire, now), Some(rule.clone()));
            assert_eq!(
                fault_from_wire(&fault_to_wire(&rule, Duration::ZERO), now),
                None
            );
        }
        let unknown = Fault {
            remaining_ms: 1,
            ..Fault::default()
        };
        assert_eq!(fault_from_wire(&unknown, now), None);
    }
}
