use super::{MAX_MESSAGE, RegisterRequest, RegisterResponse};
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{Body as HttpBody, BoxFuture, Service, StdError, http},
    server::{Grpc, NamedService, StreamingService},
};
use tonic_prost::ProstCodec;

/// The one method.
pub(super) const REGISTER: &str = "/mesh.v1.Registry/Register";

/// Handles registrations in a controller.
#[tonic::async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Stream of responses to one registration.
    type RegisterStream: Stream<Item = Result<RegisterResponse, Status>> + Send + 'static;

    /// Keeps a registration until its stream ends.
    async fn register(
        &self,
        request: Request<Streaming<RegisterRequest>>,
    ) -> Result<Response<Self::RegisterStream>, Status>;
}

/// The service `mesh.v1.Registry`, for a tonic server.
#[derive(Debug)]
pub struct RegistryServer<T>(Arc<T>);

impl<T> RegistryServer<T> {
    /// Creates a gRPC service from `registry`.
    pub fn new(registry: T) -> Self {
        Self(Arc::new(registry))
    }
}

impl<T> Clone for RegistryServer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> NamedService for RegistryServer<T> {
    const NAME: &'static str = "mesh.v1.Registry";
}

impl<T, B> Service<http::Request<B>> for RegistryServer<T>
where
    T: Registry,
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
        let method = Register(self.0.clone());
        Box::pin(async move {
            if req.uri().path() != REGISTER {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_MESSAGE);
            Ok(grpc.streaming(method, req).await)
        })
    }
}

struct Register<T>(Arc<T>);

impl<T: Registry> StreamingService<RegisterRequest> for Register<T> {
    type Response = RegisterResponse;
    type ResponseStream = T::RegisterStream;
    type Future = BoxFuture<Response<T::RegisterStream>, Status>;

    fn call(&mut self, request: Request<Streaming<RegisterRequest>>) -> Self::Future {
        let registry = self.0.clone();
        Box::pin(async move { registry.register(request).await })
    }
}
