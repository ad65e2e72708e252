//! Traffic inside a `CONNECT` tunnel: HTTP with routes, TLS and bytes.

use crate::support::*;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_discover::Protocol;
use mesh_proxy::Role;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const BOOKS: &str = "books.shop.svc.cluster.local:7002";

/// A sidecar that knows `books:7002`, at these addresses.
fn proxy(addrs: &[std::net::SocketAddr], protocol: Protocol) -> Running {
    let discovery = Discovery::default();
    let books = destination(BOOKS, profile(|_| {}), addrs).with_protocol(protocol);
    discovery.set("books:7002", books);
    Running::discovering(config([Role::Outbound]), &discovery)
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn content_length(head: &str) -> usize {
    let value = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    value.unwrap().parse().unwrap()
}

/// A tunnel to `books:7002`; `first` is sent together with the CONNECT.
async fn tunnel(proxy: &Running, first: &str) -> TcpStream {
    let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
    let connect = format!("CONNECT books:7002 HTTP/1.1\r\nhost: books:7002\r\n\r\n{first}");
    socket.write_all(connect.as_bytes()).await.unwrap();
    let head = read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    socket
}

async fn assert_counted_by_route(proxy: &Running, requests: f64) {
    let labels = [
        r#"rt_route="GET /books""#,
        r#"classification="success""#,
        r#"dst="books.shop.svc.cluster.local:7002""#,
    ];
    let counted = || async { proxy.metrics().await.sum("route_response_total", &labels) };
    while counted().await < requests {
        tokio::task::yield_now().await;
    }
    assert_eq!(counted().await, requests);
}

#[tokio::test]
async fn http1_is_served_with_routes_and_balanced() {
    let books = [
        Upstream::answering(|_| 200).await,
        Upstream::answering(|_| 200).await,
    ];
    let proxy = proxy(&books.each_ref().map(Upstream::addr), Protocol::Detect);
    let get = "GET /books HTTP/1.1\r\nHost: books:7002\r\n\r\n";
    let mut socket = tunnel(&proxy, get).await;
    let mut served = 0.0;
    loop {
        let head = read_head(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        served += 1.0;
        socket
            .read_exact(&mut vec![0; content_length(&head)])
            .await
            .unwrap();
        if books.iter().all(|books| !books.seen().is_empty()) {
            break;
        }
        socket.write_all(get.as_bytes()).await.unwrap();
    }
    assert_counted_by_route(&proxy, served).await;
    let seen = &books[0].seen()[0];
    assert_eq!(seen.headers["host"], "books:7002");
    assert_eq!(seen.uri, "/books");
}

#[tokio::test]
async fn http2_is_served_with_routes() {
    let books = Upstream::answering(|_| 200).await;
    let proxy = proxy(&[books.addr()], Protocol::Detect);
    let socket = TokioIo::new(tunnel(&proxy, "").await);
    let executor = TokioExecutor::new();
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, socket)
        .await
        .unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let req = http::Request::get("http://books:7002/books")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let rsp = client.send_request(req).await.unwrap();
        assert_eq!(rsp.status(), 200);
        rsp.into_body().collect().await.unwrap();
    }
    assert_counted_by_route(&proxy, 3.0).await;
}

/// Echoes after it has said `greeting`.
async fn echo(greeting: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                socket.write_all(greeting).await.unwrap();
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn say(socket: &mut TcpStream, words: &[u8], heard: &[u8]) {
    socket.write_all(words).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, heard);
}

#[tokio::test]
async fn tls_and_servers_that_speak_first_pass_as_bytes() {
    const HELLO: &[u8] = include_bytes!("../support/client-hello.bin");
    let silent = proxy(&[echo(b"").await], Protocol::Detect);
    say(&mut tunnel(&silent, "").await, HELLO, HELLO).await;
    let labels = [r#"sni="books.example.com""#];
    let metrics = silent.metrics().await;
    assert_eq!(metrics.sum("tls_open_total", &labels), 1.0);
    say(&mut tunnel(&silent, "").await, b"\0bytes", b"\0bytes").await;

    let mail = proxy(&[echo(b"220 ").await], Protocol::Detect);
    let mut socket = tunnel(&mail, "").await;
    let mut greeting = [0; 4];
    socket.read_exact(&mut greeting).await.unwrap();
    say(&mut socket, b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n").await;

    let opaque = proxy(&[echo(b"").await], Protocol::Opaque);
    let get = "GET / HTTP/1.1\r\n\r\n";
    say(&mut tunnel(&opaque, get).await, b"", get.as_bytes()).await;
}

#[tokio::test]
async fn curl_with_proxytunnel_is_served_with_routes() {
    let books = Upstream::answering(|_| 200).await;
    let proxy = proxy(&[books.addr()], Protocol::Detect);
    let through = format!("http://{}", proxy.addr());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let args = [
            "-sf",
            "-p",
            version,
            "-x",
            &through,
            "http://books:7002/books",
        ];
        let mut curl = std::process::Command::new("curl");
        let command = curl.args(args).env_remove("no_proxy");
        let mut running = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let ended = tokio::task::spawn_blocking(move || running.wait()).await;
        assert!(ended.unwrap().unwrap().success(), "{version}");
    }
    assert_counted_by_route(&proxy, 2.0).await;
    assert_eq!(books.seen().len(), 2);
}
