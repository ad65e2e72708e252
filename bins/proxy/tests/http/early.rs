//! Answers that come while the client is still sending.

use crate::{
    support::*,
    wire::{PATIENCE, Wire},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_proxy::{Role, Standalone};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// 100 sizes of bodies, 1 KB to 10 MB: most of them small.
fn sizes() -> impl Iterator<Item = usize> {
    let few = [10_000_000, 3_000_000, 1_000_000, 300_000];
    let many = [1_000, 4_000, 16_000, 64_000].into_iter().cycle();
    few.into_iter().chain(many).take(100)
}

/// One sidecar in front of `addr`.
fn forward(addr: SocketAddr) -> Running {
    Running::start(mesh_proxy::Config {
        standalone: Some(Standalone {
            forward: [addr.to_string()].into(),
            profile: None,
        }),
        ..config([Role::Forward])
    })
}

/// An application that answers what it has read the head of, and closes at once: it is reset, as
/// the body lies unread.
async fn hasty(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(reply(socket, answer));
        }
    });
    addr
}

async fn reply(mut socket: TcpStream, answer: &str) {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let _ = socket.write_all(answer.as_bytes()).await;
}

/// Sends a whole body before it looks for an answer, as simple clients do.
async fn status_over_http1(addr: SocketAddr, size: usize) -> Option<u16> {
    let mut wire = Wire::connect(addr).await;
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: {size}\r\n\r\n").into_bytes();
    request.resize(request.len() + size, b'x');
    wire.say(request).await;
    wire.answer().await.map(|answer| answer.status())
}

async fn status_over_http2(addr: SocketAddr, size: usize) -> Option<u16> {
    let mut client = Client::http2(addr).await;
    let body = Full::new(Bytes::from(vec![b'x'; size]));
    let request = Request::post("http://a/").body(body).unwrap();
    let reply = timeout(PATIENCE, client.send(request)).await.unwrap();
    reply.ok().map(|reply| reply.status.as_u16())
}

async fn all_arrive(addr: SocketAddr, expected: u16) {
    for size in sizes() {
        let status = status_over_http1(addr, size).await;
        assert_eq!(status, Some(expected), "{size} bytes over HTTP/1.1");
    }
}

async fn all_arrive_over_http2(addr: SocketAddr, expected: u16) {
    for size in sizes() {
        let status = status_over_http2(addr, size).await;
        assert_eq!(status, Some(expected), "{size} bytes over HTTP/2");
    }
}

/// An HTTP/2 server whose handler reads nothing of a request.
async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let refuse = hyper::service::service_fn(|_| async {
                let response = http::Response::builder().status(413);
                response.body(Full::new(Bytes::from_static(b"no")))
            });
            tokio::spawn(async move {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(socket), refuse).await
            });
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_the_mesh_arrive() {
    let gone = {
        let listener = TcpListener::bind(any()).await.unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = forward(gone);
    let outer = forward(proxy.addr());
    for proxy in [&proxy, &outer] {
        all_arrive(proxy.addr(), 502).await;
        all_arrive_over_http2(proxy.addr(), 502).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_http2_applications_arrive() {
    let inner = forward(refusing().await);
    let outer = forward(inner.addr());
    for proxy in [&inner, &outer] {
        all_arrive_over_http2(proxy.addr(), 413).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_applications_that_close_arrive() {
    for (answer, status) in [
        (
            "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno",
            413,
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            401,
        ),
        (
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
            307,
        ),
    ] {
        let inner = forward(hasty(answer).await);
        all_arrive(inner.addr(), status).await;
        let outer = forward(inner.addr());
        all_arrive(outer.addr(), status).await;
    }
}

#[tokio::test]
async fn one_of_the_mesh_does_not_stop_a_client_that_sends_on() {
    let gone = {
        let listener = TcpListener::bind(any()).await.unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = forward(gone);
    let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    // The answer and the end of what the proxy says are here.
    socket.readable().await.unwrap();
    for _ in 0..6 {
        socket.write_all(b"5\r\nhello\r\n").await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut told = String::new();
    socket.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 502 "), "{told}");
}
