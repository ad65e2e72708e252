use super::{MAX_MESSAGE, RegisterRequest, RegisterResponse};
use tokio_stream::Stream;
use tonic::{
    GrpcMethod, Request, Response, Status, Streaming, client::Grpc,
    codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_prost::ProstCodec;

/// Opens a registration's stream on `channel`; what `said` yields is said on it, and it ends in
/// order when that does.
///
/// # Errors
///
/// The status with which the controller refuses, or that of a connection that failed.
pub async fn register(
    channel: Channel,
    said: impl Stream<Item = RegisterRequest> + Send + 'static,
) -> Result<Response<Streaming<RegisterResponse>>, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready()
        .await
        .map_err(|error| Status::from_error(error.into()))?;
    let mut request = Request::new(said);
    let method = GrpcMethod::new("mesh.v1.Registry", "Register");
    request.extensions_mut().insert(method);
    let path = PathAndQuery::from_static(super::server::REGISTER);
    grpc.streaming(request, path, ProstCodec::default()).await
}
