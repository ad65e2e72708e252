#!/usr/bin/env bash
# Guess:    hyper's server promises an HTTP/1.0 client "connection: keep-alive" only if it keeps the connection.
# Seen:     a response without a length is promised to be followed by others, and the connection is closed, which is
#           the only end that an HTTP/1.0 body without a length can have. Beside a "connection: close" that the program
#           set itself, hyper writes "close, keep-alive".
# Versions: hyper 1.12.0; cargo 1.95.
# Date:     2026-12-01
# Hurt:     clients that speak HTTP/1.0 with keep-alive, such as ApacheBench with -k and old load balancers, against
#           a Rust server that streams: they wait for more on, or send their next request into, a connection that ends.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
bytes = "1"
futures-util = "0.3"
http-body-util = "0.1"
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "0.1", features = ["tokio"] }
tokio = { version = "1", features = ["io-util", "macros", "rt"] }
TOML
cat >src/main.rs <<'RS'
use bytes::Bytes;
use http_body_util::{combinators::BoxBody, BodyExt, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
    Request, Response,
};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let parts = ["one", "two"].map(|text| Ok(Frame::data(Bytes::from(text))));
    let body = match request.uri().path() {
        "/streamed" => StreamBody::new(futures_util::stream::iter(parts)).boxed(),
        _ => Full::new(Bytes::from("onetwo")).boxed(),
    };
    let mut response = Response::new(body);
    if request.uri().path() == "/closing" {
        let close = "close".parse().unwrap();
        response.headers_mut().insert("connection", close);
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for path in ["/streamed", "/closing"] {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let serve = http1::Builder::new().serve_connection(TokioIo::new(near), service_fn(answer));
        let ask = async move {
            let head = format!("GET {path} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
            far.write_all(head.as_bytes()).await.unwrap();
            let mut text = String::new();
            // Ends only when the server closes the connection.
            far.read_to_string(&mut text).await.unwrap();
            text
        };
        let (served, text) = tokio::join!(serve, ask);
        served.unwrap();
        let promised = text.lines().find(|line| line.starts_with("connection"));
        println!("{path}: {}, and the server closes", promised.unwrap_or("nothing"));
    }
}
RS
CARGO_TARGET_DIR=$work/target cargo run --quiet >seen

cat >expected <<'TXT'
/streamed: connection: keep-alive, and the server closes
/closing: connection: close, keep-alive, and the server closes
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
