//! The contract of `Service`, for the service that a server calls. A strict mock checks it over real
//! sockets: the ready clone is called, once, with the whole request, and nothing is left of a call.

use mesh_conformance::{Mock, MockReply, Shape};
use mesh_serve::{Drain, Limits, Server, drain};
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const POST: &str = "POST /path HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\
                    connection: close\r\n\r\nhello";

fn start(mock: &Mock) -> (SocketAddr, Drain) {
    limited(mock, &Limits::default())
}

fn limited(mock: &Mock, limits: &Limits) -> (SocketAddr, Drain) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (drain, draining) = drain::channel();
    tokio::spawn(Server::new(limits).run(listener, mock.clone(), draining));
    (addr, drain)
}

/// Sends a request and returns all that comes until the connection ends.
async fn post(addr: SocketAddr) -> String {
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(POST.as_bytes()).await.unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

/// Ends the server and checks that no call has left anything behind.
async fn is_idle(mock: &Mock, drain: &Drain) {
    drain.start();
    assert!(drain.finished(Duration::from_secs(10)).await);
    mock.assert_idle("after the drain");
}

#[tokio::test]
async fn the_clone_that_was_ready_is_called_once_with_the_whole_request() {
    let mock = Mock::new(1);
    let two = || MockReply::Response(503, Shape::of(["one, ", "two"]));
    mock.answer([two(), two(), two()]);
    let (addr, drain) = start(&mock);
    for call in 1..=3 {
        let answer = post(addr).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains("one, ") && answer.contains("two"),
            "{answer}"
        );
        let seen = mock.seen();
        assert_eq!((mock.calls(), seen.len()), (call, call));
        assert_eq!(seen[call - 1].data, "hello");
        assert_eq!(seen[call - 1].uri.path(), "/path");
    }
    is_idle(&mock, &drain).await;
}

#[tokio::test]
async fn requests_wait_for_readiness_and_are_all_answered() {
    let mock = Mock::new(1);
    let held = mock.hold_all();
    let (addr, drain) = start(&mock);
    let calls = [post(addr), post(addr), post(addr)].map(tokio::spawn);
    tokio::task::yield_now().await;
    assert_eq!(mock.calls(), 0);
    drop(held);
    for call in calls {
        let answer = call.await.unwrap();
        assert!(answer.ends_with("fine"), "{answer}");
    }
    assert_eq!(mock.calls(), 3);
    is_idle(&mock, &drain).await;
}

#[tokio::test]
async fn an_error_of_readiness_or_of_a_call_ends_the_connection() {
    let mock = Mock::new(1);
    mock.answer([MockReply::Error]);
    let (addr, drain) = start(&mock);
    assert_eq!(post(addr).await, "");
    mock.break_after(0);
    assert_eq!(post(addr).await, "");
    assert_eq!(mock.calls(), 1);
    is_idle(&mock, &drain).await;
}

#[tokio::test]
async fn a_body_that_breaks_is_not_passed_off_as_whole() {
    let mock = Mock::new(1);
    mock.answer([MockReply::Response(200, Shape::of(["half"]).breaking())]);
    let (addr, drain) = start(&mock);
    let answer = post(addr).await;
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    is_idle(&mock, &drain).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_call_along() {
    let mock = Mock::new(1);
    let held = mock.hold_all();
    let mut limits = Limits::default();
    // It might yet wait for the answer.
    limits.half_close = Duration::ZERO;
    let (addr, drain) = limited(&mock, &limits);
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(POST.as_bytes()).await.unwrap();
    drop(client);
    drain.start();
    // The connection ends, although the service is never ready.
    assert!(drain.finished(Duration::from_secs(10)).await);
    drop(held);
    assert_eq!(mock.calls(), 0);
    mock.assert_idle("after the client left");
}
