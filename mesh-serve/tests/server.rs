//! The server with a tower service, over real sockets.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mesh_serve::{Drain, Limits, RequestBody, Server, drain};
use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};
use tower::Service;

fn start<S, E>(limits: &Limits, service: S) -> (SocketAddr, Drain)
where
    S: Service<Request<RequestBody>, Response = Response<Full<Bytes>>, Error = E>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (drain, draining) = drain::channel();
    tokio::spawn(Server::new(limits).run(listener, service, draining));
    (addr, drain)
}

/// Sends `bytes` and returns all that comes until the connection ends.
async fn exchange(addr: SocketAddr, bytes: &str) -> String {
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn what_is_ambiguous_or_too_large_does_not_reach_the_service() {
    let service = tower::service_fn(|req: Request<RequestBody>| async move {
        panic!("served: {req:?}");
        #[allow(unreachable_code, reason = "says what would be returned")]
        Ok::<_, Infallible>(Response::default())
    });
    let mut limits = Limits::default();
    limits.headers = 3;
    let (addr, _drain) = start(&limits, service);
    for (head, status, reason) in [
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
            400,
            "more than one Host",
        ),
        ("GET / HTTP/1.1\r\n", 400, "no Host"),
        (
            "GET / HTTP/1.1\r\nhost: a\r\na: 1\r\nb: 2\r\nc: 3\r\n",
            431,
            "limits.headers",
        ),
        ("GET / HTTP/1.1\r\nhost\r\n", 400, "not a valid"),
        ("GET /\u{1} HTTP/1.1\r\nhost: a\r\n", 400, "at byte 2"),
        ("GET /a?< HTTP/1.1\r\nhost: a\r\n", 400, "'<' at byte 4"),
        (
            "GET /a#b HTTP/1.1\r\nhost: a\r\n",
            400,
            "a fragment ('#') at byte 3",
        ),
    ] {
        let answer = exchange(addr, &format!("{head}connection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{head:?}: {answer}"
        );
        assert!(answer.contains(reason), "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let mut limits = Limits::default();
    limits.connections = 1;
    let hello = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::default()) });
    let (addr, _drain) = start(&limits, hello);
    let mut first = TcpStream::connect(addr).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(first.read(&mut [0; 100]).await.unwrap() > 0);
    let answer = exchange(addr, GET).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("1 connections are open"), "{answer}");
}

#[tokio::test]
async fn a_drain_waits_for_what_was_begun() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let service = tower::service_fn(move |_| {
        let (begins, goes_on) = (begins.clone(), goes_on.clone());
        async move {
            begins.notify_one();
            goes_on.notified().await;
            Ok::<_, Infallible>(Response::new(Full::from("late")))
        }
    });
    let (addr, drain) = start(&Limits::default(), service);
    let answer =
        tokio::spawn(async move { exchange(addr, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await });
    begun.notified().await;
    drain.start();
    assert!(!drain.finished(Duration::from_millis(10)).await);
    go_on.notify_one();
    let answer = answer.await.unwrap();
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("late"), "{answer}");
    assert!(drain.finished(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn an_error_of_the_service_ends_its_connection() {
    let fails = tower::service_fn(|_| async { Err::<Response<Full<Bytes>>, _>("broken") });
    let (addr, _drain) = start(&Limits::default(), fails);
    assert_eq!(exchange(addr, GET).await, "");
}

#[tokio::test]
async fn a_coding_that_is_not_supported_ends_the_connection() {
    let hello = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::default()) });
    let (addr, _drain) = start(&Limits::default(), hello);
    let coded =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n";
    let answer = exchange(addr, &format!("{coded}{GET}")).await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn options_without_a_path_is_for_the_server_as_a_whole() {
    let echo = tower::service_fn(|req: Request<RequestBody>| async move {
        Ok::<_, Infallible>(Response::new(Full::from(req.uri().path().to_owned())))
    });
    let (addr, _drain) = start(&Limits::default(), echo);
    for (target, expected) in [("http://a", "*"), ("http://a/", "/")] {
        let head = format!("OPTIONS {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = exchange(addr, &head).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{expected}")), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_body_arrives() {
    let refuses = tower::service_fn(|_| async {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
        Ok::<_, Infallible>(response)
    });
    let (addr, _drain) = start(&Limits::default(), refuses);
    for size in [1_000, 100_000, 5_000_000] {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        let answer = exchange(addr, &(head + &"x".repeat(size))).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{size}: {answer}");
        assert!(answer.contains("connection: close"), "{size}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_behind_its_request_is_answered() {
    let closed = Arc::new(Notify::new());
    let waits = closed.clone();
    let late = tower::service_fn(move |_| {
        let waits = waits.clone();
        async move {
            waits.notified().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("late")))
        }
    });
    let mut limits = Limits::default();
    limits.half_close = Duration::from_secs(60);
    let (addr, _drain) = start(&limits, late);
    for _ in 0..16 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        closed.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("late"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_later_has_left() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, drops) = (begun.clone(), dropped.clone());
    let waits = tower::service_fn(move |_| {
        let (begins, until) = (begins.clone(), Dropped(drops.clone()));
        async move {
            begins.notify_one();
            std::future::pending::<()>().await;
            drop(until);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let mut limits = Limits::default();
    limits.half_close = Duration::ZERO;
    let (addr, _drain) = start(&limits, waits);
    let mut client = TcpStream::connect(addr).await.unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    begun.notified().await;
    drop(client);
    let noticed = tokio::time::timeout(Duration::from_secs(20), dropped.notified()).await;
    assert!(noticed.is_ok(), "the request goes on");
}
