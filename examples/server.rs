//! An axum server that knows how each of its routes is doing, from the OpenAPI document it has.
//!
//! Work whose caller has stopped waiting is refused, and `/metrics` has what Linkerd's dashboards
//! ask for:
//!
//! ```console
//! $ cargo run -p mesh-examples --example server
//! 200 OK book 1
//! 504 Gateway Timeout no response head within 50ms
//! 504 Gateway Timeout the caller's deadline passed, 0ns were left
//! ...
//! route_response_total{classification="failure",direction="inbound",...} 2
//! ```

use axum::{
    Router, body::Bytes, error_handling::HandleErrorLayer, extract::Path, http::Request,
    http::StatusCode, routing::get,
};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mesh_profile::{
    Profile, ProfileLayer,
    openapi::{Options, import},
};
use mesh_stats::{
    Stats,
    prometheus::{Exposition, Labels},
};
use mesh_tap::{Direction, Filter, Tap};
use mesh_timeout::{AcceptDeadlineLayer, TimeoutLayer};
use std::time::Duration;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder};

const DOCUMENT: &str = "
openapi: 3.1.0
paths:
  /books/{id}:
    get: { x-linkerd-timeout: 50ms, responses: { 404: {} } }
";

type ToServer = Client<HttpConnector, Empty<Bytes>>;

async fn book(Path(id): Path<u32>) -> String {
    // The second volume is in the cellar.
    tokio::time::sleep(Duration::from_secs(u64::from(id == 2))).await;
    format!("book {id}\n")
}

async fn send(client: &ToServer, req: Request<Empty<Bytes>>) -> Result<String, BoxError> {
    let (head, body) = client.request(req).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(format!(
        "{} {}",
        head.status,
        String::from_utf8_lossy(&body)
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let profile = Profile::try_from(import(DOCUMENT, "books.yaml", &Options::default())?.spec)?;
    let (stats, tap) = (Stats::new(), Tap::new());
    let mesh = ServiceBuilder::new()
        .layer(ProfileLayer::new(profile)) // which route is this?
        .layer(stats.effective()) // how it is doing
        .layer(tap.layer().direction(Direction::Inbound)) // watched, if anybody wants to
        .layer(HandleErrorLayer::new(async |late: BoxError| {
            (StatusCode::GATEWAY_TIMEOUT, format!("{late}\n"))
        }))
        .layer(AcceptDeadlineLayer::new()) // not if the caller has gone already
        .layer(TimeoutLayer::per_route()); // and not longer than the document says

    let counted = stats.clone();
    let metrics = async move || {
        let mut text = Exposition::new();
        text.routes(
            &counted.snapshot(),
            &Labels::new().with("direction", "inbound"),
        );
        text.to_string()
    };
    let app = Router::new()
        .route("/books/{id}", get(book))
        .layer(mesh)
        .route("/metrics", get(metrics));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    // The server ends here. Now a client subscribes to the tap, and three requests come: one
    // succeeds, one is too slow, and the caller of the third has stopped waiting before it arrives.
    let mut events = tap.subscribe(Filter::new().status(500..).limit(2), 10);
    let client = Client::builder(TokioExecutor::new()).build_http();
    for (id, left) in [(1, "1S"), (2, "1S"), (3, "0n")] {
        let req = Request::get(format!("http://{addr}/books/{id}")).header("mesh-deadline", left);
        print!("{}", send(&client, req.body(Empty::new())?).await?);
    }
    while let Some(event) = events.try_next() {
        println!("{event}");
    }
    let req = Request::get(format!("http://{addr}/metrics")).body(Empty::new())?;
    let metrics = send(&client, req).await?;
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("route_response_total"));
    counts.for_each(|line| println!("{line}"));
    Ok(())
}
