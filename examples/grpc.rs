//! A tonic server and a tonic client, both of generated code as it is. Each call of the server
//! succeeds or fails by its `grpc-status`, and half of them fail; the client sees none of it:
//!
//! ```console
//! $ cargo run -p mesh-examples --example grpc
//! client: 10 calls, 100% succeeded
//! server: 20 calls, 50% succeeded
//! ```

use mesh_profile::{Profile, ProfileLayer, proto};
use mesh_retry::{Budget, RetryLayer};
use mesh_stats::{Stats, View};
use mesh_timeout::{AcceptDeadlineLayer, PropagateDeadlineLayer, TimeoutLayer};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Status,
    body::Body,
    transport::{Channel, Server},
};
use tonic_health::{
    pb::{HealthCheckRequest, health_client::HealthClient, health_server::HealthServer},
    server::{HealthReporter, HealthService},
};
use tower::{BoxError, ServiceBuilder};

/// The service's protobuf source; `mesh profile --proto` reads it from a file.
const PROTO: &str = r#"
package grpc.health.v1;
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
"#;

static CALLS: AtomicU32 = AtomicU32::new(0);

fn every_other(req: Request<()>) -> Result<Request<()>, Status> {
    match CALLS.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Err(Status::unavailable("not this time")),
        _ => Ok(req),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut spec = proto::import(PROTO, "health.proto")?;
    spec.routes[0].is_retryable = true;
    spec.routes[0].timeout = Some("1s".to_owned());
    let route = spec.routes[0].name.clone();
    let profile = Profile::try_from(spec)?;

    let (served, seen) = (Stats::new(), Stats::new());
    let server = ServiceBuilder::new()
        .layer(ProfileLayer::new(profile.clone())) // which route is this?
        .layer(served.effective()) // how it is doing, by the status in the trailers
        .layer(AcceptDeadlineLayer::new()); // not if the caller has gone already
    let health = HealthService::from_health_reporter(HealthReporter::new());
    let health = HealthServer::with_interceptor(health, every_other);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(
        Server::builder()
            .layer(server)
            .add_service(health)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );

    let channel = Channel::from_shared(format!("http://{addr}"))?.connect_lazy();
    let client = ServiceBuilder::new()
        .layer(ProfileLayer::new(profile)) // which route is this?
        .layer(seen.effective()) // what we see of it
        .layer(TimeoutLayer::per_route().announce()) // no longer than a second, and...
        .layer(RetryLayer::per_route(Budget::default())) // again, as far as the budget allows
        .layer(PropagateDeadlineLayer::new()) // ...the server knows what is left of it
        .map_request(|req: http::Request<_>| req.map(Body::new))
        .service(channel);

    let mut client = HealthClient::new(client);
    for _ in 0..10 {
        let rsp = client.check(HealthCheckRequest::default()).await?;
        assert_eq!(rsp.get_ref().status().as_str_name(), "SERVING");
    }

    let show = |who, view: &View| {
        let rate = 100.0 * view.success_rate().unwrap_or_default();
        println!("{who}: {} calls, {rate:.0}% succeeded", view.requests);
    };
    show("client", &seen.snapshot()[&route].effective);
    show("server", &served.snapshot()[&route].effective);
    Ok(())
}
