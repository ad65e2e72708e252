//! Those who take their time: clients and upstreams.

use crate::{
    recorder::Recorder,
    support::{Client, Discovery, Running, any, config, destination, profile},
    wire::Wire,
};
use mesh_proxy::{Role, Standalone};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off_and_an_idle_connection_is_not() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(|limits| limits.head = SHORT);
    let mut idle = Wire::connect(proxy.addr()).await;
    idle.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.unwrap().status(), 200);

    let mut slow = Wire::connect(proxy.addr()).await;
    slow.say("GET / HTTP/1.1\r\n").await;
    let answer = slow.answer().await.unwrap();
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.header("mesh-reason"), Some("refused"));
    assert!(
        answer
            .header("l5d-proxy-error")
            .unwrap()
            .contains("--head-limit")
    );
    assert_eq!(slow.rest().await, b"");

    // It has been silent for longer than that.
    idle.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.unwrap().status(), 200);
    // And so does it itself, if it dribbles.
    idle.say("G").await;
    assert_eq!(idle.answer().await.unwrap().status(), 408);
    assert_eq!(upstream.got(), "GET / HTTP/1.1|host: a||".repeat(2));
}

#[tokio::test]
async fn bytes_now_and_then_do_not_extend_the_limit_of_a_head() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(|limits| limits.head = SHORT);
    let mut slow = Wire::connect(proxy.addr()).await;
    slow.say("GET / HTTP/1.1\r\n").await;
    let answer = loop {
        tokio::select! {
            answer = slow.answer() => break answer,
            () = tokio::time::sleep(SHORT / 10) => {}
        }
        slow.say("x: y\r\n").await;
    };
    assert!(answer.is_none_or(|answer| answer.status() == 408));
    assert_eq!(upstream.got(), "");
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_is_closed() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(|limits| limits.idle = SHORT);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);
    assert_eq!(wire.rest().await, b"");

    let mut client = Client::http2(proxy.addr()).await;
    while client.get("a", "/").await.is_ok() {
        // The client notices the GOAWAY.
        tokio::time::sleep(SHORT * 3).await;
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_at_all_is_closed() {
    let upstream = Recorder::start().await;
    let mut config = config([Role::Outbound]);
    config.limits.detect = SHORT;
    let proxy = Running::start(config);
    for bytes in ["", "G"] {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(bytes).await;
        assert_eq!(wire.rest().await, b"");
    }
    assert_eq!(upstream.got(), "");
}

#[tokio::test]
async fn a_body_that_stops_is_a_408_and_no_whole_request() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(|limits| limits.body_gap = SHORT);
    for (head, part) in [
        ("Content-Length: 9", "hi"),
        ("Transfer-Encoding: chunked", "2\r\nhi\r\n"),
    ] {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{part}"
        ))
        .await;
        let answer = wire.answer().await.unwrap();
        assert_eq!(answer.status(), 408);
        assert!(
            answer
                .header("l5d-proxy-error")
                .unwrap()
                .contains("--body-gap")
        );
        assert_eq!(wire.rest().await, b"");
    }
    assert!(!upstream.got().contains("0||"));
}

/// Serves one connection: reads a head, then answers without end, until it cannot.
async fn gusher(listener: TcpListener) -> usize {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut head = [0; 1024];
    let _ = socket.read(&mut head).await.unwrap();
    let endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
    socket.write_all(endless).await.unwrap();
    let mut sent = 0;
    while socket.write_all(&[b'x'; 16 * 1024]).await.is_ok() {
        sent += 16 * 1024;
    }
    sent
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_little_and_not_for_ever() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let mut config = config([Role::Forward]);
    config.standalone = Some(Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    config.limits.stall = Duration::from_millis(200);
    let proxy = Running::start(config);
    let upstream = tokio::spawn(gusher(listener));
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The proxy gives up on the client, and so the upstream ends.
    let sent = upstream.await.unwrap();
    // What fits into the buffers of three sockets and of the proxy.
    assert!(sent < 32 << 20, "{sent} bytes");
    drop(wire);
}

#[tokio::test]
async fn an_upstream_may_take_its_time() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let mut config = config([Role::Forward]);
    config.standalone = Some(Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    config.limits.head = SHORT;
    config.limits.idle = SHORT;
    config.limits.stall = SHORT;
    config.limits.body_gap = SHORT;
    let proxy = Running::start(config);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut socket, _) = listener.accept().await.unwrap();
    // For longer than all of them, before the head and after it.
    for part in ["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 4\r\n\r\nab", "cd"] {
        let mut slow = Wire::connect(proxy.addr()).await;
        slow.say("GET / ").await;
        assert_eq!(slow.answer().await.unwrap().status(), 408);
        socket.write_all(part.as_bytes()).await.unwrap();
    }
    assert_eq!(wire.answer().await.unwrap().body, b"abcd");
}

#[tokio::test]
async fn an_upstream_that_dribbles_its_head_has_as_long_as_the_route() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let discovery = Discovery::default();
    let timed = profile(|route| route.timeout = Some("50ms".into()));
    let addr = listener.local_addr().unwrap();
    discovery.set("books:80", destination("books.shop:80", timed, &[addr]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET /books HTTP/1.1\r\nhost: books:80\r\n\r\n")
        .await;
    let (mut socket, _) = listener.accept().await.unwrap();
    // Who answers before it is asked is not slow, but broken.
    socket.read_u8().await.unwrap();
    let dribbling = async {
        let mut part = "HTTP/1.1 200 OK\r\nx: ";
        // A byte whenever the proxy has had time for the last one, until it hangs up.
        while socket.write_all(part.as_bytes()).await.is_ok() {
            part = "y";
            proxy.metrics().await;
        }
    };
    let (answer, ()) = tokio::join!(wire.answer(), dribbling);
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 504, "{answer:?}");
    assert_eq!(answer.header("mesh-reason"), Some("timeout"));
}
