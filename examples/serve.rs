//! A server that bounds, drains and refuses what is ambiguous: mesh-serve alone.
//!
//! `cargo run --example serve`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mesh_serve::{Limits, RequestBody, Server, drain};
use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn hello(req: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("hello from {}", req.uri().path());
    Ok(Response::new(Full::from(text)))
}

/// Sends a request with these headers, and returns the first and the last line of the answer.
async fn ask(addr: SocketAddr, headers: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(addr).await?;
    let head = format!("GET /books/1 HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    client.read_to_string(&mut text).await?;
    let status = text.lines().next().unwrap_or_default();
    Ok(format!(
        "{status}: {}",
        text.lines().last().unwrap_or_default()
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let mut limits = Limits::default();
    limits.headers = 3;
    let (drain, draining) = drain::channel();
    let server = Server::new(&limits).run(listener, tower::service_fn(hello), draining);
    let server = tokio::spawn(server);

    println!("{}", ask(addr, "host: a\r\n").await?);
    println!("{}", ask(addr, "host: a\r\nhost: b\r\n").await?);
    println!("{}", ask(addr, "host: a\r\nx-1: 1\r\nx-2: 2\r\n").await?);

    drain.start();
    server.await??;
    println!("drained: {}", drain.finished(Duration::from_secs(10)).await);
    Ok(())
}
