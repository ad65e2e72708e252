//! Two endpoints, one of them gone: mesh-pool alone hands back what never left.
//!
//! `cargo run --example pool`

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use mesh_pool::{BoxError, Pool, Protocol, SendError, Settings, Target};
use std::{net::SocketAddr, sync::Arc};
use tower::ServiceExt as _;

type Client = Pool<Full<Bytes>>;

/// Sends `req` to the first of `clients`; whoever could not be reached gives it back for the next.
async fn send(clients: &[Client], mut req: Request<Full<Bytes>>) -> Result<Bytes, BoxError> {
    let mut failed: BoxError = "no endpoint".into();
    for client in clients {
        let mut error = match client.clone().oneshot(req).await {
            Ok(rsp) => return Ok(rsp.into_body().collect().await?.to_bytes()),
            Err(error) => error,
        };
        let returned = error.downcast_mut().and_then(SendError::take_back);
        match returned {
            Some(returned) => {
                println!("not sent to {}: {error}", returned.from);
                req = returned.req;
                failed = error;
            }
            None => return Err(error),
        }
    }
    Err(failed)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let there = mesh_examples::replica("a book", 0).await;
    let gone: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let settings = Arc::new(Settings::default());
    let clients =
        [gone, there].map(|addr| Pool::new(Target::plain(addr, Protocol::Http1), settings.clone()));

    for _ in 0..2 {
        // It has a body, which comes back as well.
        let req = Request::get("http://shop.example/books/1").body(Full::from("please"))?;
        println!("{:?}", send(&clients, req).await?);
    }
    println!("connections: {}", settings.connector.meter.read().opened);
    Ok(())
}
