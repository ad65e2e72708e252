//! Streams that nobody reads, on a connection that others share.

use crate::support::*;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_proxy::{Role, Standalone};
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

const STALLED: usize = 100;
/// More than any window.
const LARGE: usize = 4 << 20;
/// A request that is held up never ends; one that is not takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// An endpoint with room for every stream: `/large` answers much, `/unread` reads nothing, and
/// others say how much they read.
async fn roomy() -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(64 << 10)
                .initial_connection_window_size(64 << 20)
                .serve_connection(TokioIo::new(socket), service_fn(serve));
            tokio::spawn(serving);
        }
    });
    addr
}

async fn serve(req: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match req.uri().path() {
        "/large" => vec![0; LARGE].into(),
        "/unread" => {
            let _unread = req.into_body();
            std::future::pending().await
        }
        _ => {
            let read = req.into_body().collect().await.unwrap().to_bytes().len();
            read.to_string().into()
        }
    };
    Ok(Response::new(Full::new(body)))
}

fn in_front_of(addr: SocketAddr) -> Running {
    let mut config = config([Role::Forward]);
    config.standalone = Some(Standalone {
        forward: vec![addr.to_string()],
        profile: None,
    });
    Running::start(config)
}

/// A client that takes a byte of each response.
async fn client(proxy: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(proxy).await.unwrap());
    let (sender, conn) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(conn);
    sender
}

fn request(path: &str, length: usize) -> Request<Full<Bytes>> {
    let req = Request::post(format!("http://books:80{path}"));
    req.body(Full::new(vec![0; length].into())).unwrap()
}

/// The median time of a unary request.
async fn median(client: &mut Client) -> Duration {
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        let reply = timeout(PATIENCE, client.get("books:80", "/small")).await;
        let reply = reply.expect("the request is held up").unwrap();
        assert_eq!(reply.text(), "0");
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn responses_that_nobody_reads_hold_up_no_other_response() {
    let proxy = in_front_of(roomy().await);
    let mut other = Client::http2(proxy.addr()).await;
    let alone = median(&mut other).await;
    let sender = client(proxy.addr()).await;
    let mut unread = Vec::new();
    for _ in 0..STALLED {
        let rsp = sender.clone().send_request(request("/large", 0));
        let rsp = timeout(PATIENCE, rsp).await.expect("the head is held up");
        unread.push(rsp.unwrap());
    }
    let beside = median(&mut other).await;
    println!("a request takes {alone:?} alone, {beside:?} beside {STALLED} stalled responses");
    // Room for a busy machine; a request that waits for a window waits for ever.
    assert!(
        beside <= alone * 5 + Duration::from_millis(20),
        "{alone:?}, {beside:?}"
    );
    assert_eq!(unread.len(), STALLED);
}

#[tokio::test]
async fn request_bodies_that_nobody_reads_hold_up_no_other_request() {
    let proxy = in_front_of(roomy().await);
    let sender = client(proxy.addr()).await;
    let mut unread = JoinSet::new();
    for _ in 0..STALLED {
        let mut sender = sender.clone();
        unread.spawn(async move { sender.send_request(request("/unread", LARGE)).await });
    }
    // On the same connection: its response is a byte, so that no window matters.
    let mut sender = sender.clone();
    for length in [1, 7, 70_000] {
        let rsp = timeout(PATIENCE, sender.send_request(request("/small", length)));
        let rsp = rsp.await.expect("the request is held up").unwrap();
        assert_eq!(rsp.status(), 200);
    }
    assert!(unread.try_join_next().is_none(), "nobody answers them");
}
