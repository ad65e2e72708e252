#!/usr/bin/env bash
# Guess:    a dependency on the crate kube costs a program nothing where it does not talk to an API server.
# Seen:     kube-client switches on the feature `log` of tracing for the whole program. Each span and event of h2 and
#           hyper then asks whether it is to be a record of `log`, and is one if nobody subscribed to tracing: one
#           HTTP/2 request makes hundreds. Nothing of kube is called here.
# Versions: kube 5.0.0, k8s-openapi 0.29.0, h2 0.4.20; cargo 1.95.
# Date:     2026-12-01
# Hurt:     whoever builds a proxy and its controller in one program or one Cargo workspace. Counted by valgrind, a
#           request over HTTP/2 through a sidecar took 25 % more instructions (103,565 -> 129,595; gRPC 131,697 ->
#           164,567) after another crate of the workspace had named kube. HTTP/1, with fewer spans, took none.
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
[features]
kube = ["dep:k8s-openapi", "dep:kube"]
[dependencies]
bytes = "1"
h2 = "=0.4.20"
http = "1"
k8s-openapi = { version = "=0.29.0", features = ["v1_33"], optional = true }
kube = { version = "=5.0.0", default-features = false, features = ["client"], optional = true }
log = "0.4"
tokio = { version = "1", features = ["io-util", "macros", "rt"] }
TOML
cat >src/main.rs <<'RS'
use http::{Request, Response};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is logged. The program has no subscriber of tracing.
struct Counter(AtomicUsize);

static COUNTER: Counter = Counter(AtomicUsize::new(0));

impl log::Log for Counter {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, _: &log::Record) {
        self.0.fetch_add(1, Relaxed);
    }
    fn flush(&self) {}
}

async fn serve(near: tokio::io::DuplexStream) {
    let mut server = h2::server::handshake(near).await.unwrap();
    while let Some(request) = server.accept().await {
        let Ok((_, mut respond)) = request else { return };
        respond.send_response(Response::new(()), true).unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    log::set_logger(&COUNTER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let (near, far) = tokio::io::duplex(1 << 16);
    let ask = async {
        let (mut send, connection) = h2::client::handshake(far).await.unwrap();
        let asking = async {
            let request = Request::get("http://a.example/").body(()).unwrap();
            let (response, _) = send.send_request(request, true).unwrap();
            response.await.unwrap();
        };
        tokio::select! { () = asking => {}, _ = connection => {} }
    };
    tokio::select! { () = ask => {}, () = serve(near) => {} }
    match COUNTER.0.load(Relaxed) {
        0 => println!("no record"),
        1..=99 => println!("some records"),
        _ => println!("hundreds of records"),
    }
}
RS
export CARGO_TARGET_DIR=$work/target
{
  echo "without kube: $(cargo run --quiet)"
  echo "with kube: $(cargo run --quiet --features kube)"
} >seen

cat >expected <<'TXT'
without kube: no record
with kube: hundreds of records
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
