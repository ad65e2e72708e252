//! Connections end, and no request is lost by it.

use crate::support::*;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use mesh_proxy::Role;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Reads a request head, or nothing if the connection ends.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = socket.read_u8().await.ok()?;
        head.push(byte);
    }
    Some(String::from_utf8(head).unwrap())
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The standalone form in front of a bare socket.
fn in_front_of(listener: &TcpListener) -> Running {
    Running::start(in_front(listener))
}

fn in_front(listener: &TcpListener) -> mesh_proxy::Config {
    let mut config = config([Role::Forward]);
    config.standalone = Some(mesh_proxy::Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    config
}

#[tokio::test]
async fn a_pooled_connection_that_the_peer_closed_costs_nothing() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    // Answers one request per connection, then closes it without having said so.
    let server = tokio::spawn(async move {
        let mut served = 0;
        while served < 20 {
            let (mut socket, _) = listener.accept().await.unwrap();
            if read_head(&mut socket).await.is_some() {
                socket.write_all(OK).await.unwrap();
                served += 1;
            }
        }
    });
    let mut client = Client::http1(proxy.addr()).await;
    for _ in 0..20 {
        assert_eq!(client.get("any", "/").await.unwrap().status, 200);
    }
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_is_not_used_when_the_peer_is_about_to_close_it() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let server = tokio::spawn(async move {
        // Less a second of caution, nothing is left of one; of an hour enough is.
        for (seconds, requests) in [(1, 1), (3_600, 3)] {
            let (mut socket, _) = listener.accept().await.unwrap();
            for _ in 0..requests {
                read_head(&mut socket).await.unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nkeep-alive: max=9, timeout={seconds}\r\n");
                socket.write_all(head.as_bytes()).await.unwrap();
                socket
                    .write_all(b"content-length: 2\r\n\r\nok")
                    .await
                    .unwrap();
            }
            if seconds == 1 {
                assert_eq!(read_head(&mut socket).await, None);
            }
        }
    });
    let mut client = Client::http1(proxy.addr()).await;
    for _ in 0..4 {
        assert_eq!(client.get("any", "/").await.unwrap().status, 200);
    }
    server.await.unwrap();
}

#[tokio::test]
async fn what_was_read_and_lost_is_not_sent_again() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    // Every second request of a connection is read and then not answered.
    let server = tokio::spawn(async move {
        let mut lost = Vec::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_head(&mut socket).await.unwrap();
            socket.write_all(OK).await.unwrap();
            let Some(head) = read_head(&mut socket).await else {
                return lost;
            };
            lost.push(head.split(' ').next().unwrap().to_owned());
        }
    });
    let mut client = Client::http1(proxy.addr()).await;
    assert_eq!(client.get("any", "/").await.unwrap().status, 200);
    for (method, reason) in [("GET", "reset"), ("POST", "maybe-processed")] {
        let reply = client.send(client.request(method, "any", "/", "")).await;
        let reply = reply.unwrap();
        assert_eq!(reply.status, 502);
        assert_eq!(reply.header("mesh-reason"), Some(reason));
        client = Client::http1(proxy.addr()).await;
        assert_eq!(client.get("any", "/").await.unwrap().status, 200);
    }
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("request_resent_total", &[]), 0.0);
    assert_eq!(metrics.sum("route_actual_request_total", &[]), 5.0);
    drop(proxy);
    assert_eq!(server.await.unwrap(), ["GET", "POST"]);
}

#[tokio::test]
async fn nothing_listening_is_a_502_that_names_the_address() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let proxy = in_front_of(&listener);
    drop(listener);
    let reply = get(proxy.addr(), "/").await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("mesh-reason"), Some("connect-refused"));
    let error = reply.header("l5d-proxy-error").unwrap();
    assert!(
        error.starts_with(&format!("cannot connect to {addr}: ")),
        "{error}"
    );
}

/// Answers the first request of its first connection, and not the second: when `go` says so, it
/// utters its `last_words` and is gone. Other connections are served until then.
async fn die(listener: TcpListener, last_words: &[u8], arrived: Arc<Notify>, go: Arc<Notify>) {
    let (mut first, _) = listener.accept().await.unwrap();
    read_head(&mut first).await.unwrap();
    first.write_all(OK).await.unwrap();
    read_head(&mut first).await.unwrap();
    arrived.notify_one();
    let mut others = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            () = go.notified() => break,
            accepted = listener.accept() => {
                let (mut socket, _) = accepted.unwrap();
                others.spawn(async move {
                    while read_head(&mut socket).await.is_some() {
                        socket.write_all(OK).await.unwrap();
                    }
                });
            }
        }
    }
    drop(listener);
    first.write_all(last_words).await.unwrap();
}

#[tokio::test]
async fn a_request_that_no_application_got_goes_to_another_endpoint() {
    // The application is gone before it gets the request, and its proxy says so.
    const REFUSED: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\
        l5d-proxy-error: cannot connect\r\nmesh-reason: connect-refused\r\n\r\n";
    for withdrawn in [false, true] {
        let dying = TcpListener::bind(any()).await.unwrap();
        let addr = dying.local_addr().unwrap();
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let death = tokio::spawn(die(dying, REFUSED, arrived.clone(), go.clone()));
        let discovery = Discovery::default();
        let at = |addrs: &[_]| destination("books.shop:80", profile(|_| {}), addrs);
        discovery.set("books:80", at(&[addr]));
        let proxy = Running::discovering(config([Role::Outbound]), &discovery);
        let mut client = Client::http1(proxy.addr()).await;
        assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
        let sent = tokio::spawn(async move { client.get("books:80", "/books").await });
        arrived.notified().await;

        let other = Upstream::answering(|_| 200).await;
        discovery.set("books:80", at(&[addr, other.addr()]));
        let mut client = Client::http1(proxy.addr()).await;
        while other.seen().is_empty() {
            assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
        }
        if withdrawn {
            let next = Upstream::answering(|_| 200).await;
            discovery.set("books:80", at(&[next.addr()]));
            while next.seen().is_empty() {
                assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
            }
            discovery.set("books:80", at(&[other.addr()]));
            let before = other.seen().len();
            while other.seen().len() == before {
                assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
            }
        }
        go.notify_one();
        death.await.unwrap();
        assert_eq!(sent.await.unwrap().unwrap().status, 200);
        assert_eq!(other.seen().last().unwrap().uri, "/books");
        // To be offered to another endpoint is no attempt.
        let metrics = proxy.metrics().await;
        let books = [r#"rt_route="GET /books""#];
        assert_eq!(metrics.sum("route_actual_request_total", &books), 1.0);
    }
}

#[tokio::test]
async fn what_was_in_flight_on_a_shared_connection_that_broke_is_not_sent_again() {
    for (method, reason) in [("GET", "reset"), ("POST", "maybe-processed")] {
        let arrived = Arc::new(Notify::new());
        let told = arrived.clone();
        let upstream = Upstream::start(move |_, number| {
            let told = told.clone();
            async move {
                if number == 1 {
                    told.notify_one();
                    std::future::pending::<()>().await;
                }
                answer(200, "")
            }
        })
        .await;
        let proxy = Running::start(standalone(&[&upstream]));
        let mut client = Client::http2(proxy.addr()).await;
        assert_eq!(client.get("any", "/").await.unwrap().status, 200);
        let req = client.request(method, "any", "/", "");
        let sent = tokio::spawn(async move { client.send(req).await.unwrap() });
        arrived.notified().await;
        upstream.cut();
        let reply = sent.await.unwrap();
        assert_eq!(reply.header("mesh-reason"), Some(reason));
        assert_eq!(upstream.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_then_ends() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (arrived.clone(), go.clone());
    let upstream = Upstream::start(move |_, _| {
        let (told, wait) = (told.clone(), wait.clone());
        async move {
            told.notify_one();
            wait.notified().await;
            answer(200, "late")
        }
    })
    .await;
    for http2 in [false, true] {
        let proxy = Running::start(standalone(&[&upstream]));
        let mut client = match http2 {
            false => Client::http1(proxy.addr()).await,
            true => Client::http2(proxy.addr()).await,
        };
        let req = client.request("GET", "any", "/", "");
        let reply = tokio::spawn(async move { client.send(req).await });
        arrived.notified().await;

        proxy.shut_down();
        // Draining has begun when it takes nobody in any more.
        while TcpStream::connect(proxy.addr()).await.is_ok() {}
        go.notify_one();
        let reply = reply.await.unwrap().unwrap();
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (200, "late")
        );
        if !http2 {
            assert_eq!(reply.header("connection"), Some("close"));
        }
        proxy.ended().await;
    }
}

#[tokio::test]
async fn who_has_not_heard_of_the_drain_is_still_served() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut client = Client::http1(proxy.addr()).await;
    assert_eq!(client.get("any", "/").await.unwrap().status, 200);
    proxy.shut_down();
    while TcpStream::connect(proxy.addr()).await.is_ok() {}
    // As if it had been under way: HTTP/1 cannot say on an idle connection that it will close.
    let reply = client.get("any", "/").await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    proxy.ended().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_drain_up() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut used = Client::http1(proxy.addr()).await;
    used.get("any", "/").await.unwrap();
    let mut unused = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.shut_down();
    proxy.ended().await;
    assert_eq!(unused.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn the_drain_limit_is_kept() {
    let upstream = Upstream::start(|_, _| std::future::pending()).await;
    let mut config = standalone(&[&upstream]);
    config.limits.drain = Duration::from_millis(20);
    let proxy = Running::start(config);
    let mut client = Client::http1(proxy.addr()).await;
    let req = client.request("GET", "any", "/", "");
    let reply = tokio::spawn(async move { client.send(req).await });
    while upstream.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    proxy.shut_down();
    proxy.ended().await;
    assert!(reply.await.unwrap().is_err());
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_request_along() {
    for resets in [false, true] {
        let listener = TcpListener::bind(any()).await.unwrap();
        let mut config = in_front(&listener);
        if !resets {
            // It might yet wait for the answer.
            config.limits.half_close = Duration::ZERO;
        }
        let proxy = Running::start(config);
        let mut caller = TcpStream::connect(proxy.addr()).await.unwrap();
        caller
            .write_all(b"GET / HTTP/1.1\r\nhost: any\r\n\r\n")
            .await
            .unwrap();
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await.unwrap();
        if resets {
            caller.set_zero_linger().unwrap();
        }
        drop(caller);
        // The connection to the endpoint ends, since HTTP/1 has no other way to say so.
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_long_body_streams_both_ways_at_once() {
    let upstream = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&upstream);
    // Echoes chunks as they come, as no well-behaved HTTP client can without streaming.
    let echo = tokio::spawn(async move {
        let (mut socket, _) = upstream.accept().await.unwrap();
        read_head(&mut socket).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head).await.unwrap();
        let (mut read, mut write) = socket.split();
        let mut buf = vec![0; 16 * 1024];
        let mut tail = Vec::new();
        while !tail.ends_with(b"0\r\n\r\n") {
            let read = read.read(&mut buf).await.unwrap();
            write.write_all(&buf[..read]).await.unwrap();
            tail.extend_from_slice(&buf[..read]);
            tail.drain(..tail.len().saturating_sub(5));
        }
    });
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(proxy.addr()).await.unwrap());
    let (mut sender, conn) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(conn);
    let (chunks, stream) = tokio::sync::mpsc::channel::<Bytes>(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let frames = tokio_stream::StreamExt::map(stream, |chunk| {
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(chunk))
    });
    let req = http::Request::post("/")
        .header("host", "any")
        .body(http_body_util::StreamBody::new(frames))
        .unwrap();
    let mut body = sender.send_request(req).await.unwrap().into_body();
    for n in 0..64_u8 {
        let chunk = Bytes::from(vec![n; 8 * 1024]);
        chunks.send(chunk.clone()).await.unwrap();
        // Only when it came back is the next one sent.
        let mut back = Vec::new();
        while back.len() < chunk.len() {
            let frame = body.frame().await.unwrap().unwrap();
            back.extend_from_slice(frame.data_ref().unwrap());
        }
        assert_eq!(back, chunk);
    }
    drop(chunks);
    assert!(body.frame().await.is_none());
    echo.await.unwrap();
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let head = read_head(&mut socket).await.unwrap();
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                      upgrade: websocket\r\n\r\nhello";
        socket.write_all(switch.as_bytes()).await.unwrap();
        let mut ping = [0; 4];
        socket.read_exact(&mut ping).await.unwrap();
        socket.write_all(&ping).await.unwrap();
    });
    let mut caller = TcpStream::connect(proxy.addr()).await.unwrap();
    let req = "GET /chat HTTP/1.1\r\nhost: any\r\nconnection: Upgrade\r\n\
               upgrade: websocket\r\n\r\n";
    caller.write_all(req.as_bytes()).await.unwrap();
    let head = read_head(&mut caller).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    let mut hello = [0; 5];
    caller.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    caller.write_all(b"ping").await.unwrap();
    let mut rest = Vec::new();
    caller.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"ping");
    server.await.unwrap();
}

/// Answers what it is sent in upper case, until the end.
async fn shout(listener: TcpListener) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    socket.read_to_end(&mut heard).await.unwrap();
    heard.make_ascii_uppercase();
    socket.write_all(&heard).await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_is_carried_as_bytes() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&listener);
    tokio::spawn(shout(listener));
    let mut caller = TcpStream::connect(proxy.addr()).await.unwrap();
    caller.write_all(b"\x16\x03\x01 not http").await.unwrap();
    caller.shutdown().await.unwrap();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"\x16\x03\x01 NOT HTTP");
}

#[tokio::test]
async fn connect_opens_a_tunnel() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let proxy = Running::start(config([Role::Outbound]));
    tokio::spawn(shout(listener));
    let mut caller = TcpStream::connect(proxy.addr()).await.unwrap();
    let req = format!("CONNECT {addr} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    caller.write_all(req.as_bytes()).await.unwrap();
    let head = read_head(&mut caller).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    caller.write_all(b"hello").await.unwrap();
    caller.shutdown().await.unwrap();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"HELLO");
}

#[tokio::test]
async fn a_tunnel_counts_as_a_connection_until_it_ends() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut config = config([Role::Outbound]);
    config.limits.connections = 1;
    let proxy = Running::start(config);
    tokio::spawn(shout(listener));
    let mut caller = TcpStream::connect(proxy.addr()).await.unwrap();
    let req = format!("CONNECT {addr} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    caller.write_all(req.as_bytes()).await.unwrap();
    let head = read_head(&mut caller).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let reason = async || {
        let reply = get(proxy.addr(), "/").await;
        reply.header("mesh-reason").map(str::to_owned)
    };
    for _ in 0..10 {
        assert_eq!(reason().await.as_deref(), Some("overloaded"));
    }
    drop(caller);
    while reason().await.as_deref() == Some("overloaded") {
        tokio::task::yield_now().await;
    }
}
