//! Requests that were written and lost: tried again elsewhere if that is safe and the budget
//! allows, else an error that says what may have happened.

use crate::support::{frames::*, *};
use mesh_profile::RetryBudgetSpec;
use mesh_proxy::Role;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    task::JoinHandle,
};

/// A server that reads requests and dies of the first so many.
struct Dying {
    listener: std::net::SocketAddr,
    seen: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Dying {
    async fn start(deaths: usize) -> Self {
        let listener = TcpListener::bind(any()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<AtomicUsize>::default();
        let count = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                if count.fetch_add(1, SeqCst) >= deaths {
                    let ok = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                    socket.write_all(ok).await.unwrap();
                }
            }
        });
        Self {
            listener: addr,
            seen,
            task,
        }
    }

    fn seen(&self) -> usize {
        self.seen.load(SeqCst)
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The reason of the error that came of a request to `books`.
async fn outcome(proxy: &Running, method: &str) -> Option<String> {
    let mut client = Client::http1(proxy.addr()).await;
    let req = client.request(method, "books:80", "/", "");
    let reply = client.send(req).await.unwrap();
    assert_eq!(
        reply.status.is_success(),
        reply.header("mesh-reason").is_none()
    );
    reply.header("mesh-reason").map(str::to_owned)
}

fn budget(min_retries_per_second: u32) -> mesh_profile::ProfileSpec {
    let mut profile = profile(|_| {});
    profile.retry_budget = Some(RetryBudgetSpec {
        retry_ratio: 0.0,
        min_retries_per_second,
        ttl: "10s".into(),
    });
    profile
}

#[tokio::test]
async fn what_a_new_connection_lost_is_tried_once_more_if_that_is_safe() {
    for (method, deaths, reason, seen) in [
        ("GET", 1, None, 2),
        ("DELETE", 1, None, 2),
        ("GET", 2, Some("reset"), 2),
        ("POST", 1, Some("maybe-processed"), 1),
    ] {
        let server = Dying::start(deaths).await;
        let discovery = Discovery::default();
        let known = destination("books.shop:80", budget(10), &[server.listener]);
        discovery.set("books:80", known);
        let proxy = Running::discovering(config([Role::Outbound]), &discovery);
        let got = outcome(&proxy, method).await;
        assert_eq!((got.as_deref(), server.seen()), (reason, seen), "{method}");
    }
}

#[tokio::test]
async fn what_one_endpoint_lost_is_tried_at_another() {
    let discovery = Discovery::default();
    let (dying, other) = (
        Dying::start(usize::MAX).await,
        Upstream::answering(|_| 200).await,
    );
    let endpoints = [dying.listener, other.addr()];
    discovery.set(
        "books:80",
        destination("books.shop:80", budget(10), &endpoints),
    );
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    while dying.seen() == 0 {
        assert_eq!(outcome(&proxy, "GET").await, None);
    }
}

#[tokio::test]
async fn what_was_lost_is_not_tried_again_beyond_the_budget() {
    let discovery = Discovery::default();
    let server = Dying::start(1).await;
    discovery.set(
        "books:80",
        destination("books.shop:80", budget(0), &[server.listener]),
    );
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    assert_eq!(outcome(&proxy, "GET").await.as_deref(), Some("reset"));
    assert_eq!(outcome(&proxy, "GET").await, None);
}

#[tokio::test]
async fn what_the_application_behind_a_sidecar_lost_is_tried_again_too() {
    for (method, reason, seen) in [("GET", None, 2), ("POST", Some("maybe-processed"), 1)] {
        let app = Dying::start(1).await;
        let there = Running::start(config([Role::Inbound(app.listener)]));
        let discovery = Discovery::default();
        discovery.set(
            "books:80",
            destination("books.shop:80", budget(10), &[there.addr()]),
        );
        let here = Running::discovering(config([Role::Outbound]), &discovery);
        let got = outcome(&here, method).await;
        assert_eq!((got.as_deref(), app.seen()), (reason, seen), "{method}");
    }
}

/// The result of the second GET of `client`, and the number of resends outside the budget.
async fn second(proxy: &Running, mut client: Client) -> (Option<String>, f64) {
    assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
    let reply = client.get("books:80", "/").await.unwrap();
    let reason = reply.header("mesh-reason").map(str::to_owned);
    let resent = proxy.metrics().await.sum("request_resent_total", &[]);
    (reason, resent)
}

fn in_front_of(listener: &TcpListener, retries: u32, resend: Duration) -> Running {
    let discovery = Discovery::default();
    let endpoints = [listener.local_addr().unwrap()];
    discovery.set(
        "books:80",
        destination("books.shop:80", budget(retries), &endpoints),
    );
    let mut config = config([Role::Outbound]);
    config.limits.resend = resend;
    Running::discovering(config, &discovery)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_a_used_connection_lost_is_free_only_if_it_broke_soon() {
    for (retries, resend, reason, resent) in [
        (0, HOUR, None, 1.0),
        (0, Duration::ZERO, Some("reset"), 0.0),
        (10, Duration::ZERO, None, 0.0),
    ] {
        // Each connection breaks with its second request.
        let listener = TcpListener::bind(any()).await.unwrap();
        let proxy = in_front_of(&listener, retries, resend);
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let mut socket = BufReader::new(socket);
                for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], b""] {
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                            break;
                        }
                    }
                    socket.write_all(answer).await.unwrap();
                }
            }
        });
        let got = second(&proxy, Client::http1(proxy.addr()).await).await;
        assert_eq!((got.0.as_deref(), got.1), (reason, resent));
        server.abort();

        let listener = TcpListener::bind(any()).await.unwrap();
        let proxy = in_front_of(&listener, retries, resend);
        let server = tokio::spawn(async move {
            loop {
                let mut peer = Peer::accept(&listener).await;
                peer.serve().await;
                peer.read().await;
            }
        });
        let got = second(&proxy, Client::http2(proxy.addr()).await).await;
        assert_eq!((got.0.as_deref(), got.1), (reason, resent), "HTTP/2");
        server.abort();
    }
}

#[tokio::test]
async fn a_stream_that_its_peer_reset_is_not_free_unless_it_was_refused() {
    const INTERNAL_ERROR: u8 = 2;
    const REFUSED_STREAM: u8 = 7;
    const CANCEL: u8 = 8;
    const ENHANCE_YOUR_CALM: u8 = 11;
    for (code, retries, reason, resent) in [
        (INTERNAL_ERROR, 0, Some("reset"), 0.0),
        (CANCEL, 0, Some("reset"), 0.0),
        (ENHANCE_YOUR_CALM, 0, Some("reset"), 0.0),
        (INTERNAL_ERROR, 10, None, 0.0),
        (REFUSED_STREAM, 0, None, 1.0),
    ] {
        let listener = TcpListener::bind(any()).await.unwrap();
        let proxy = in_front_of(&listener, retries, HOUR);
        let server = tokio::spawn(async move {
            let mut peer = Peer::accept(&listener).await;
            peer.serve().await;
            let (.., stream, _) = peer.read().await.unwrap();
            peer.write(RST_STREAM, 0, stream, &[0, 0, 0, code]).await;
            peer.serve().await;
        });
        let got = second(&proxy, Client::http2(proxy.addr()).await).await;
        assert_eq!((got.0.as_deref(), got.1), (reason, resent), "{code}");
        server.abort();
    }
}

#[tokio::test]
async fn a_peer_that_asks_for_less_is_not_asked_again_for_free() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener, 0, HOUR);
    let server = tokio::spawn(async move {
        loop {
            let mut peer = Peer::accept(&listener).await;
            peer.serve().await;
            peer.read().await.unwrap();
            // Of the first stream; ENHANCE_YOUR_CALM.
            peer.write(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11]).await;
            while peer.read().await.is_some() {}
        }
    });
    let got = second(&proxy, Client::http2(proxy.addr()).await).await;
    assert_eq!(got, (Some("reset".to_owned()), 0.0));
    server.abort();
}
