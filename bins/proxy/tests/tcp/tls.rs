//! TLS of the application passes as it is, and its server's name shows.

use super::shown::Watched;
use crate::support::*;
use mesh_proxy::{Role, Standalone};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The ClientHello of Python's `ssl` to `Books.Example.com`.
const HELLO: &[u8] = include_bytes!("../support/client-hello.bin");

/// A proxy in front of a socket that answers the hello with `hi`, then sends back what it gets.
async fn echo() -> Running {
    let listener = TcpListener::bind(any()).await.unwrap();
    let mut config = config([Role::Forward]);
    config.standalone = Some(Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut hello = vec![0; HELLO.len()];
                socket.read_exact(&mut hello).await.unwrap();
                assert_eq!(hello, HELLO);
                socket.write_all(b"hi").await.unwrap();
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Running::start(config)
}

/// Sends the hello in `parts`, reads `hi`, and sends one more message.
async fn converse(proxy: &Running, parts: &[&[u8]]) {
    let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for part in parts {
        socket.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 2];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hi");
    socket.write_all(b"more").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"more");
}

#[tokio::test]
async fn connections_are_counted_by_the_name_of_the_server() {
    let proxy = echo().await;
    converse(&proxy, &[HELLO]).await;
    let (first, rest) = HELLO.split_at(1);
    let (second, third) = rest.split_at(200);
    converse(&proxy, &[first, second, third]).await;
    let labels = [r#"direction="outbound""#, r#"sni="books.example.com""#];
    let metrics = loop {
        let metrics = proxy.metrics().await;
        if metrics.sum("tls_close_total", &labels) == 2.0 {
            break metrics;
        }
    };
    assert_eq!(metrics.sum("tls_open_total", &labels), 2.0);
    assert_eq!(metrics.sum("tls_open_connections", &labels), 0.0);
    let read = 2.0 * (HELLO.len() as f64 + 4.0);
    assert_eq!(metrics.sum("tls_read_bytes_total", &labels), read);
    assert_eq!(metrics.sum("tls_write_bytes_total", &labels), 12.0);
    assert_eq!(metrics.sum("request_total", &[]), 0.0);
}

#[tokio::test]
async fn a_tap_shows_a_connection_as_one_connect() {
    let proxy = echo().await;
    let mut watched = Watched::start(&proxy, 1).await;
    converse(&proxy, &[HELLO]).await;
    for shown in ["books.example.com", "200", "6 bytes"] {
        let event = watched.next().await;
        assert_eq!(event.labels["tls"], "opaque");
        assert_eq!(event.text, shown);
    }
}
