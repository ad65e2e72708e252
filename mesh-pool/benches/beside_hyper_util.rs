//! Cost of a small request over a pooled connection. Expected: less than with hyper-util's
//! client, which hands each request to another task.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mesh_pool::{Pool, Protocol, Settings, Target};
use mesh_serve::{Limits, Server, drain};
use std::{convert::Infallible, hint::black_box, net::SocketAddr, sync::Arc};
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt as _};

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

fn runtime() -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (_drain, draining) = drain::channel();
        let server = Server::new(&Limits::default());
        server
            .run(listener, tower::service_fn(hello), draining)
            .await
    });
    (runtime, addr)
}

/// Sends one request and reads the answer.
async fn exchange<S, B>(client: &mut S, addr: SocketAddr)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let req = Request::get(format!("http://{addr}/"))
        .body(Empty::new())
        .unwrap();
    let rsp = client.ready().await.unwrap().call(req).await.unwrap();
    black_box(rsp.into_body().collect().await.unwrap().to_bytes());
}

fn one_request(c: &mut Criterion) {
    let (ours, addr) = runtime();
    let settings = Arc::new(Settings::default());
    let mut pool = Pool::new(Target::plain(addr, Protocol::Http1), settings);
    c.bench_function("send a request: mesh-pool", |b| {
        b.iter(|| ours.block_on(exchange(&mut pool, addr)));
    });
    let (theirs, addr) = runtime();
    let mut client = Client::builder(TokioExecutor::new()).build_http();
    c.bench_function("send a request: hyper-util", |b| {
        b.iter(|| theirs.block_on(exchange(&mut client, addr)));
    });
}

criterion_group!(benches, one_request);
criterion_main!(benches);
