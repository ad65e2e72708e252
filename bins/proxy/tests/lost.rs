//! Requests that were written and lost: tried again elsewhere if that is safe and the budget
//! allows, else an error that says what may have happened.

mod support;

use mesh_profile::RetryBudgetSpec;
use mesh_proxy::Role;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use support::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
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
