//! Cost of limits, watchdogs and drain for a small request. Expected: no more than hyper-util's
//! server without them, as writes are gathered.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Response;
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use mesh_serve::{Limits, Server, drain};
use std::{convert::Infallible, hint::black_box, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn hello<B>(_: http::Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

async fn ours() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_drain, draining) = drain::channel();
        let server = Server::new(&Limits::default());
        server
            .run(listener, tower::service_fn(hello), draining)
            .await
    });
    addr
}

async fn hyper_util() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            tokio::spawn(async move {
                let service = TowerToHyperService::new(tower::service_fn(hello));
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    addr
}

/// Sixteen requests, one on each of as many connections.
async fn round(clients: &mut [TcpStream]) {
    for client in &mut *clients {
        client.write_all(GET).await.unwrap();
    }
    for client in clients {
        let mut answer = [0; 256];
        black_box(client.read(&mut answer).await.unwrap());
    }
}

fn bench(name: &str, c: &mut Criterion, start: impl AsyncFnOnce() -> SocketAddr) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut clients = runtime.block_on(async {
        let addr = start().await;
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(TcpStream::connect(addr).await.unwrap());
        }
        clients
    });
    c.bench_function(name, |b| {
        b.iter(|| runtime.block_on(round(&mut clients)));
    });
}

fn sixteen_connections(c: &mut Criterion) {
    bench("serve 16 requests: mesh-serve", c, ours);
    bench("serve 16 requests: hyper-util", c, hyper_util);
}

criterion_group!(benches, sixteen_connections);
criterion_main!(benches);
