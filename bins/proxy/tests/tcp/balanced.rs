//! Connections that are carried as bytes choose among endpoints as requests do, and are shown by
//! endpoint.

use super::shown::Watched;
use crate::support::*;
use mesh_discover::{Backend, Destination, Protocol};
use mesh_profile::ProfileSpec;
use mesh_proxy::{Config, Limits, Role};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A server that greets with its name of one letter, then sends back what it gets.
struct Replica {
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Replica {
    async fn start(name: u8) -> Self {
        let listener = TcpListener::bind(any()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    socket.write_all(&[name]).await.unwrap();
                    let (mut from, mut to) = socket.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Self { addr, serving }
    }

    async fn three() -> [Self; 3] {
        [
            Self::start(b'a').await,
            Self::start(b'b').await,
            Self::start(b'c').await,
        ]
    }

    /// Refuses connections from now on.
    async fn refuse(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

const CACHE: &str = "cache.shop.svc.cluster.local:6379";

fn cache(replicas: &[Replica]) -> Destination {
    let addrs: Vec<_> = replicas.iter().map(|replica| replica.addr).collect();
    destination(CACHE, ProfileSpec::default(), &addrs).with_protocol(Protocol::Opaque)
}

/// A sidecar whose application calls `cache:6379`, and which needs one failure to leave out an
/// endpoint.
fn proxy(destination: Destination) -> Running {
    let discovery = Discovery::default();
    discovery.set("cache:6379", destination);
    let config = Config {
        limits: Limits {
            failures: 1,
            ..config([]).limits
        },
        ..config([Role::Upstream("cache:6379".into())])
    };
    Running::discovering(config, &discovery)
}

/// Opens a connection, and says who answers.
async fn call(proxy: &Running) -> (char, TcpStream) {
    let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
    let name = socket.read_u8().await.unwrap();
    (name.into(), socket)
}

async fn call_often(proxy: &Running, times: usize) -> (String, Vec<TcpStream>) {
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(call(proxy).await);
    }
    all.into_iter().unzip()
}

#[tokio::test]
async fn connections_spread_and_an_endpoint_that_refuses_is_left_out() {
    let mut replicas = Replica::three().await;
    let proxy = proxy(cache(&replicas));
    let (names, open) = call_often(&proxy, 30).await;
    for name in ['a', 'b', 'c'] {
        assert!(names.contains(name), "{names}");
    }
    let metrics = proxy.metrics().await;
    let of_cache = [r#"direction="outbound""#, r#"peer="dst""#];
    for (name, replica) in ['a', 'b', 'c'].into_iter().zip(&replicas) {
        let addr = format!(r#"target_addr="{}""#, replica.addr);
        let labels = [
            r#"direction="outbound",peer="dst",authority="cache.shop.svc.cluster.local:6379""#,
            r#"tls="no_identity""#,
            r#"dst_deployment="books""#,
            &addr,
        ];
        let opened = names.matches(name).count() as f64;
        assert_eq!(metrics.sum("tcp_open_total", &labels), opened);
        assert_eq!(metrics.sum("tcp_open_connections", &labels), opened);
    }
    assert_eq!(metrics.sum("tcp_open_total", &of_cache), 30.0);
    drop(open);

    replicas[0].refuse().await;
    let is_left_out = format!(r#"target_addr="{}""#, replicas[0].addr);
    loop {
        // All of them arrive, though some were first sent to the one that refuses.
        let (names, _) = call_often(&proxy, 10).await;
        assert!(!names.contains('a'), "{names}");
        let metrics = proxy.metrics().await;
        if metrics.sum("endpoint_ejected", &[&is_left_out]) == 1.0 {
            break;
        }
    }
}

#[tokio::test]
async fn connections_follow_the_weights_of_a_split_exactly() {
    let replicas = Replica::three().await;
    let backend = |number: usize| {
        let addr = endpoint(replicas[number].addr);
        Backend::new(format!("cache-{number}.shop:6379"), [addr])
    };
    let split = [(backend(0), 3), (backend(1), 1), (backend(2), 0)];
    let destination = Destination::named(CACHE, CACHE)
        .with_split(split)
        .with_protocol(Protocol::Opaque);
    let proxy = proxy(destination);
    let (names, _) = call_often(&proxy, 16).await;
    let times = ['a', 'b', 'c'].map(|name| names.matches(name).count());
    assert_eq!(times, [12, 4, 0], "{names}");
}

#[tokio::test]
async fn a_tap_shows_connections_and_refusals_by_endpoint() {
    let mut replica = Replica::start(b'a').await;
    let proxy = proxy(cache(std::slice::from_ref(&replica)));
    let mut watched = Watched::start(&proxy, 2).await;
    let (_, mut socket) = call(&proxy).await;
    socket.write_all(b"more").await.unwrap();
    socket.shutdown().await.unwrap();
    socket.read_to_end(&mut Vec::new()).await.unwrap();
    for shown in ["cache:6379", "200", "5 bytes"] {
        let event = watched.next().await;
        assert_eq!(event.text, shown);
        assert_eq!(event.labels["deployment"], "books");
        assert_eq!(event.labels["tls"], "no_identity");
        assert_eq!(event.destination, replica.addr);
    }

    replica.refuse().await;
    let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0);
    let event = watched.next().await;
    assert_eq!(
        (&*event.text, event.destination),
        ("cache:6379", replica.addr)
    );
    assert_eq!(watched.next().await.text, "0 bytes");
}

#[tokio::test]
async fn connect_to_a_name_that_does_not_exist_is_502_as_for_any_request() {
    let proxy = Running::start(config([Role::Outbound]));
    let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
    let head = "CONNECT no-such-name.invalid:80 HTTP/1.1\r\nhost: no-such-name.invalid:80\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("\r\n\r\n") {
        let mut more = [0; 1024];
        let read = socket.read(&mut more).await.unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&more[..read]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        answer.contains("mesh-reason: connect-refused\r\n"),
        "{answer}"
    );
}
