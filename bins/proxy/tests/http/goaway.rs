//! A peer that leaves an HTTP/2 connection names the streams that it does not look at: nobody has
//! seen those requests, so each goes elsewhere whole, whatever its method.

use crate::support::{frames::*, *};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_proxy::{Limits, Role};
use std::{convert::Infallible, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

fn in_front_of(listener: &TcpListener) -> Running {
    keeping(listener, Limits::default().retry_memory_bytes)
}

/// One that keeps so many bytes.
fn keeping(listener: &TcpListener, bytes: usize) -> Running {
    let mut config = config([Role::Forward]);
    config.limits.retry_memory_bytes = bytes;
    config.standalone = Some(mesh_proxy::Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    Running::start(config)
}

/// A caller that posts what it is given, part by part, once it has had an answer to a GET.
async fn post(
    proxy: &Running,
    parts: mpsc::Receiver<Bytes>,
) -> JoinHandle<Response<hyper::body::Incoming>> {
    let io = TokioIo::new(TcpStream::connect(proxy.addr()).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut sender, conn) = handshake.await.unwrap();
    tokio::spawn(conn);
    let request = |method: &str, parts| {
        let frames = ReceiverStream::new(parts).map(|part| Ok::<_, Infallible>(Frame::data(part)));
        let builder = Request::builder().method(method).uri("http://books:80/");
        builder.body(StreamBody::new(frames)).unwrap()
    };
    let (_, nothing) = mpsc::channel(1);
    let rsp = sender.send_request(request("GET", nothing)).await.unwrap();
    assert_eq!(rsp.status(), 200);
    tokio::spawn(async move { sender.send_request(request("POST", parts)).await.unwrap() })
}

#[tokio::test]
async fn a_post_that_its_peer_did_not_look_at_is_sent_again_whole() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let (part, parts) = mpsc::channel(1);
    part.send("once ".into()).await.unwrap();
    let server = tokio::spawn(async move {
        let mut first = Peer::accept(&listener).await;
        first.serve().await;
        assert_eq!(first.begin().await, b"once ");
        first.leave(1).await;
        let mut second = Peer::accept(&listener).await;
        assert_eq!(second.begin().await, b"once ");
        second.leave(0).await;
        let mut third = Peer::accept(&listener).await;
        part.send("upon a time".into()).await.unwrap();
        drop(part);
        third.serve().await
    });
    let sent = post(&proxy, parts).await;
    assert_eq!(sent.await.unwrap().status(), 200);
    assert_eq!(server.await.unwrap(), b"once upon a time");
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("request_resent_total", &[]), 2.0);
    assert_eq!(metrics.sum("route_actual_request_total", &[]), 2.0);
}

#[tokio::test]
async fn a_post_whose_peer_is_gone_for_good_goes_to_another_endpoint_whole() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let discovery = Discovery::default();
    let at = |addrs: &[_]| destination("books.shop:80", profile(|_| {}), addrs);
    discovery.set("books:80", at(&[addr]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let (part, parts) = mpsc::channel(1);
    part.send("once upon a time".into()).await.unwrap();
    drop(part);
    let (began, beginning) = oneshot::channel();
    let (go, gone) = oneshot::channel();
    let server = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.serve().await;
        peer.begin().await;
        began.send(()).unwrap();
        // Others are served over HTTP/1, by another.
        gone.await.unwrap();
        drop(listener);
        peer.leave(1).await;
    });
    let sent = post(&proxy, parts).await;
    beginning.await.unwrap();
    let other = Upstream::answering(|_| 200).await;
    discovery.set("books:80", at(&[addr, other.addr()]));
    while other.seen().is_empty() {
        let mut client = Client::http2(proxy.addr()).await;
        let get = client.get("books:80", "/");
        // The peer answers none of them.
        let _ = timeout(Duration::from_millis(50), get).await;
    }
    go.send(()).unwrap();
    assert_eq!(sent.await.unwrap().status(), 200);
    server.await.unwrap();
    let seen = other.seen();
    let posts: Vec<_> = seen.iter().filter(|it| it.method == "POST").collect();
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].body, "once upon a time");
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_kept_is_an_error_that_says_never_sent() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let (part, parts) = mpsc::channel(1);
    let server = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        // For the connection, and in the settings for each stream, the peer grants more.
        peer.write(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]).await;
        peer.write(SETTINGS, 0, 0, &[0, 4, 0, 2, 0, 0]).await;
        peer.serve().await;
        let mut got = peer.begin().await.len();
        while got <= 65_535 {
            got += peer.read().await.unwrap().3.len();
        }
        peer.leave(1).await;
    });
    let sent = post(&proxy, parts).await;
    for _ in 0..9 {
        part.send(vec![b'x'; 8 * 1024].into()).await.unwrap();
    }
    let rsp = sent.await.unwrap();
    assert_eq!(rsp.status(), 502);
    assert_eq!(rsp.headers()["mesh-reason"], "never-sent");
    server.await.unwrap();
}

#[tokio::test]
async fn a_body_for_which_there_is_no_memory_is_an_error_that_says_never_sent() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = keeping(&listener, 4);
    let (part, parts) = mpsc::channel(1);
    part.send("once ".into()).await.unwrap();
    let server = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.serve().await;
        assert_eq!(peer.begin().await, b"once ");
        peer.leave(1).await;
    });
    let rsp = post(&proxy, parts).await.await.unwrap();
    assert_eq!(rsp.status(), 502);
    assert_eq!(rsp.headers()["mesh-reason"], "never-sent");
    drop(part);
    server.await.unwrap();
}
