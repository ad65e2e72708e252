#!/usr/bin/env bash
# Guess:    an h2 client that limits lists of header fields refuses trailers over the limit, as it refuses such a head.
# Seen:     the fields that fit are given to the caller, the one that crosses the limit and those behind it are not,
#           and there is no error. A head over the same limit is an error.
# Versions: h2 0.4.20; cargo 1.95.
# Date:     2026-12-01
# Hurt:     gRPC clients in Rust, whose limit is 16 KiB with hyper's default: details of an error that are longer than
#           that vanish (grpc-status-details-bin), and where a server writes a long grpc-message first, so does the
#           status itself. RFC 9113, 10.5.1: a response over the limit can be discarded; part of it is not foreseen.
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
h2 = "=0.4.20"
http = "1"
tokio = { version = "1", features = ["io-util", "macros", "rt"] }
TOML
cat >src/main.rs <<'RS'
use http::{HeaderMap, Request, Response};

type Fields = [(&'static str, usize)];

fn map(fields: &Fields) -> HeaderMap {
    let field = |&(name, length): &(&'static str, usize)| {
        (name.parse().unwrap(), "x".repeat(length).parse().unwrap())
    };
    fields.iter().map(field).collect()
}

/// Answers one request with these fields in its head and its trailers.
async fn serve(near: tokio::io::DuplexStream, head: &Fields, trailers: &Fields) {
    let mut server = h2::server::handshake(near).await.unwrap();
    while let Some(request) = server.accept().await {
        let Ok((_, mut respond)) = request else { return };
        let mut response = Response::new(());
        response.headers_mut().extend(map(head));
        let mut body = respond.send_response(response, false).unwrap();
        body.send_trailers(map(trailers)).unwrap();
    }
}

/// Asks with a limit of 512 bytes.
async fn ask(far: tokio::io::DuplexStream) -> String {
    let mut client = h2::client::Builder::new();
    client.max_header_list_size(512);
    let (mut send, connection) = client.handshake::<_, bytes::Bytes>(far).await.unwrap();
    let asking = async move {
        let request = Request::get("http://a.example/").body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let Ok(response) = response.await else {
            return "an error".to_string();
        };
        match response.into_body().trailers().await {
            Ok(trailers) => {
                let names = trailers.unwrap_or_default();
                let names: Vec<_> = names.keys().map(|name| name.to_string()).collect();
                format!("trailers [{}]", names.join(", "))
            }
            Err(_) => "an error".to_string(),
        }
    };
    tokio::select! { said = asking => said, _ = connection => "the end".to_string() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cases: [(&str, &Fields, &Fields); 4] = [
        ("short trailers", &[], &[("grpc-status", 1), ("grpc-message", 10)]),
        ("long details", &[], &[("grpc-status", 1), ("grpc-status-details-bin", 1000)]),
        ("long message first", &[], &[("grpc-message", 1000), ("grpc-status", 1)]),
        ("long head", &[("a", 1000)], &[("grpc-status", 1)]),
    ];
    for (name, head, trailers) in cases {
        let (near, far) = tokio::io::duplex(1 << 16);
        let said = tokio::select! { said = ask(far) => said, () = serve(near, head, trailers) => "the end".into() };
        println!("{name}: {said}");
    }
}
RS
CARGO_TARGET_DIR=$work/target cargo run --quiet >seen

cat >expected <<'TXT'
short trailers: trailers [grpc-status, grpc-message]
long details: trailers [grpc-status]
long message first: trailers []
long head: an error
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
