//! Responses that break off right behind their head: it is passed on, and nothing is sent again.

use crate::support::{frames::*, *};
use mesh_proxy::{Role, Standalone};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// An endpoint that says a head, a part of the body and nothing more, all in one write; the number
/// of requests that it got.
async fn cutting(http2: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    tokio::spawn(async move {
        loop {
            if http2 {
                let mut peer = Peer::accept(&listener).await;
                let count = count.clone();
                tokio::spawn(async move {
                    while let Some((_, _, stream, _)) = peer.read().await {
                        count.fetch_add(1, SeqCst);
                        let all = [
                            frame(HEADERS, END_HEADERS, stream, STATUS_200),
                            frame(DATA, 0, stream, b"hi"),
                            frame(RST_STREAM, 0, stream, &[0, 0, 0, 2]),
                        ];
                        peer.write_all(&all.concat()).await;
                    }
                });
            } else {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut buf = [0; 4096];
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    match socket.read(&mut buf).await.unwrap() {
                        0 => break,
                        n => read.extend_from_slice(&buf[..n]),
                    }
                }
                count.fetch_add(1, SeqCst);
                let said = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi";
                socket.write_all(said).await.unwrap();
            }
        }
    });
    (addr, served)
}

/// The bytes that an HTTP/1 client reads until the end.
async fn read_http1(proxy: SocketAddr) -> String {
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    let request = b"GET /books HTTP/1.1\r\nHost: books:80\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let mut read = Vec::new();
    let _ = socket.read_to_end(&mut read).await;
    String::from_utf8(read).unwrap()
}

async fn head_and_part_arrive(proxy: SocketAddr, http2: bool) {
    if !http2 {
        let read = read_http1(proxy).await;
        assert!(read.starts_with("HTTP/1.1 200 OK\r\n"), "{read:?}");
        assert!(read.contains("content-length: 9\r\n"), "{read:?}");
        assert!(read.ends_with("\r\n\r\nhi"), "{read:?}");
        return;
    }
    use http_body_util::BodyExt as _;
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(proxy).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, conn) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(conn);
    let req = http::Request::get("http://books:80/books");
    let req = req.body(http_body_util::Empty::<bytes::Bytes>::new());
    let rsp = sender.send_request(req.unwrap()).await.unwrap();
    assert_eq!(rsp.status(), 200);
    let mut body = rsp.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "hi");
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_client_gets_the_head_and_what_came_of_the_body() {
    for http2 in [false, true] {
        let (addr, served) = cutting(http2).await;
        let mut config = config([Role::Forward]);
        config.standalone = Some(Standalone {
            forward: vec![addr.to_string()],
            profile: None,
        });
        let proxy = Running::start(config);
        for n in 1..=5 {
            head_and_part_arrive(proxy.addr(), http2).await;
            assert_eq!(served.load(SeqCst), n);
        }
    }
}

#[tokio::test]
async fn through_two_sidecars_it_is_the_same_and_no_replica_is_asked_again() {
    for http2 in [false, true] {
        let mut replicas = Vec::new();
        for _ in 0..2 {
            let (app, served) = cutting(http2).await;
            let inbound = Running::start(config([Role::Inbound(app)]));
            replicas.push((inbound, served));
        }
        let discovery = Discovery::default();
        let addrs: Vec<_> = replicas.iter().map(|(proxy, _)| proxy.addr()).collect();
        let destination = destination("books.shop:80", profile(|_| {}), &addrs);
        discovery.set("books:80", destination);
        let proxy = Running::discovering(config([Role::Outbound]), &discovery);
        for n in 1..=5 {
            head_and_part_arrive(proxy.addr(), http2).await;
            let sum: usize = replicas.iter().map(|(_, n)| n.load(SeqCst)).sum();
            assert_eq!(sum, n, "http2: {http2}");
        }
    }
}
