//! The streams of an HTTP/2 connection to an endpoint, as the endpoint sees them.

use crate::support::{frames::*, *};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_proxy::Role;
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

fn in_front_of(listener: &TcpListener) -> Running {
    let mut config = config([Role::Forward]);
    config.standalone = Some(mesh_proxy::Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    Running::start(config)
}

/// A caller that posts `first`, and then what it is given.
async fn post(
    proxy: SocketAddr,
    first: &'static str,
) -> (mpsc::Sender<Bytes>, JoinHandle<Response<Incoming>>) {
    let (part, parts) = mpsc::channel(1);
    part.send(first.into()).await.unwrap();
    let frames = ReceiverStream::new(parts).map(|part| Ok::<_, Infallible>(Frame::data(part)));
    let io = TokioIo::new(TcpStream::connect(proxy).await.unwrap());
    let (mut sender, conn) = http2::Builder::new(TokioExecutor::new())
        // Of an answer that it does not read it takes a byte.
        .initial_stream_window_size(1)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(conn);
    let req = Request::post("http://books:80/");
    let req = req.body(StreamBody::new(frames)).unwrap();
    let rsp = tokio::spawn(async move { sender.send_request(req).await.unwrap() });
    (part, rsp)
}

/// One that has answered a GET, and so has settled what there is to settle.
async fn settled(listener: &TcpListener, proxy: &Running, settings: &[u8]) -> Peer {
    let proxy = proxy.addr();
    let get = tokio::spawn(async move { Client::http2(proxy).await.get("books:80", "/").await });
    let mut peer = Peer::accept(listener).await;
    peer.write(SETTINGS, 0, 0, settings).await;
    peer.serve().await;
    assert_eq!(get.await.unwrap().unwrap().status, 200);
    peer
}

/// A caller that sends these frames at once.
async fn caller(proxy: SocketAddr, frames: &[Vec<u8>]) -> TcpStream {
    let mut caller = TcpStream::connect(proxy).await.unwrap();
    let hello = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(SETTINGS, 0, 0, b""),
    ];
    let all = [hello.concat(), frames.concat()].concat();
    caller.write_all(&all).await.unwrap();
    caller
}

#[tokio::test]
async fn a_short_request_is_one_write() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let mut peer = settled(&listener, &proxy, b"").await;
    let request = [
        frame(HEADERS, END_HEADERS, 1, POST),
        frame(DATA, LAST, 1, b"once upon a time"),
    ];
    let _caller = caller(proxy.addr(), &request).await;
    loop {
        let bytes = peer.bytes().await;
        if bytes.ends_with(b"once upon a time") {
            break;
        }
        // The acknowledgement of its settings may come before.
        assert_eq!(bytes[3], SETTINGS, "only a head");
    }
}

#[tokio::test]
async fn what_is_left_of_a_body_goes_on_while_nobody_reads_the_answer() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let mut peer = settled(&listener, &proxy, b"").await;
    let (part, rsp) = post(proxy.addr(), "once ").await;
    assert_eq!(peer.begin().await, b"once ");
    peer.write(HEADERS, END_HEADERS, 3, STATUS_200).await;
    peer.write(DATA, 0, 3, b"more than the window").await;
    let _unread = rsp.await.unwrap();
    part.send("upon a time".into()).await.unwrap();
    assert_eq!(peer.read().await.unwrap().3, b"upon a time");
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_stream() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let mut peer = settled(&listener, &proxy, b"").await;
    let (_part, rsp) = post(proxy.addr(), "once ").await;
    assert_eq!(peer.begin().await, b"once ");
    rsp.abort();
    assert_eq!(peer.reset().await, (3, vec![0, 0, 0, 8]));
}

#[tokio::test]
async fn a_peer_that_has_not_said_what_it_takes_gets_a_hundred_streams() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let post = |n: u32| frame(HEADERS, END_HEADERS | LAST, 2 * n + 1, POST);
    let posts: Vec<_> = (0..60).map(post).collect();
    let _callers = [
        caller(proxy.addr(), &posts).await,
        caller(proxy.addr(), &posts).await,
    ];
    let mut peer = Peer::silent(&listener).await;
    for _ in 0..100 {
        peer.read().await.unwrap();
    }
    let none = timeout(Duration::from_millis(50), peer.read()).await;
    assert!(none.is_err(), "more than a hundred");
    peer.write(SETTINGS, 0, 0, b"").await;
    for _ in 0..20 {
        peer.read().await.unwrap();
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_goes_over_another_connection_when_the_full_one_breaks() {
    const ONE_STREAM: &[u8] = &[0, 3, 0, 0, 0, 1];
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let mut peer = settled(&listener, &proxy, ONE_STREAM).await;
    let mut sent = Vec::new();
    for _ in 0..4 {
        let (part, rsp) = post(proxy.addr(), "all").await;
        drop(part);
        sent.push(rsp);
    }
    assert_eq!(peer.whole().await.1, b"all");
    let none = timeout(Duration::from_millis(50), peer.read()).await;
    assert!(none.is_err(), "more streams than the peer takes");
    drop(peer);
    let mut other = Peer::accept(&listener).await;
    assert_eq!(other.serve().await, b"all");
    assert_eq!(other.serve().await, b"all");
    let mut lost = 0;
    for rsp in sent {
        let rsp = rsp.await.unwrap();
        if rsp.status() != 200 {
            assert_eq!(rsp.headers()["mesh-reason"], "maybe-processed");
            lost += 1;
        }
    }
    // The one that was read, and the next, of which nothing can be said for certain.
    assert_eq!(lost, 2);
}

#[tokio::test]
async fn the_connection_to_an_endpoint_that_is_gone_is_closed() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let other = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let at = |addr| destination("books.shop:80", profile(|_| {}), &[addr]);
    discovery.set("books:80", at(listener.local_addr().unwrap()));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut peer = settled(&listener, &proxy, b"").await;
    discovery.set("books:80", at(other.addr()));
    assert_eq!(peer.read().await, None);
}
