//! Unary gRPC methods by name, on both sides: with a method for each emoji, generated code would
//! be a hundred times the same.

use anyhow::Context;
use axum::{
    body::Body,
    extract::Request,
    http::uri::PathAndQuery,
    response::{IntoResponse, Response},
};
use prost::Message;
use std::{future::ready, time::Duration};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Time limit of a call, 30 s.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one call, which `answer` answers.
pub(crate) async fn unary<In, Out>(
    req: Request,
    mut answer: impl FnMut(In) -> Result<Out, Status> + Send,
) -> Response
where
    In: Message + Default + 'static,
    Out: Message + 'static,
{
    let method = tower::service_fn(|req: tonic::Request<In>| {
        ready(answer(req.into_inner()).map(tonic::Response::new))
    });
    tonic::server::Grpc::new(ProstCodec::<Out, In>::default())
        .unary(method, req)
        .await
        .map(Body::new)
}

/// The answer to a call of a method that there is not.
pub(crate) fn unimplemented(method: &str) -> Response {
    Status::unimplemented(format!("there is no method {method}"))
        .into_http::<tonic::body::Body>()
        .into_response()
}

/// A client of one service's methods.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    service: &'static str,
    channel: Channel,
}

impl Client {
    /// Calls `service` at `host`, a host and a port. The connection is made when it is needed, and
    /// again when it was lost.
    pub(crate) fn new(service: &'static str, host: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{host}"))
            .with_context(|| format!("{service} is at no host:port: `{host}`"))?;
        Ok(Self {
            service,
            channel: endpoint.timeout(TIMEOUT).connect_lazy(),
        })
    }

    /// Calls `method`.
    pub(crate) async fn call<In, Out>(&self, method: &str, message: In) -> Result<Out, Status>
    where
        In: Message + 'static,
        Out: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/{}/{method}", self.service))
            .map_err(|error| Status::internal(error.to_string()))?;
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<In, Out>::default();
        let answer = grpc.unary(tonic::Request::new(message), path, codec);
        Ok(answer.await?.into_inner())
    }
}
