//! HTTP/1 as it is on the wire.

use crate::recorder::{OK, Recorder};
use crate::support::{Client, Running, Upstream, answer, config, standalone};
use crate::wire::Wire;
use mesh_proxy::Role;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Semaphore,
};

/// One request on a connection of its own, and the answer to it.
async fn exchange(method: &str, said: &'static str) -> crate::wire::Answer {
    let answers = move |n| if n == 0 { said.as_bytes() } else { OK };
    let upstream = Recorder::answering(move |n| answers(n).to_vec()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    let answer = wire.answer_to(method).await.unwrap();
    // Its connection and that to the upstream are good for another.
    wire.say("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let rest = wire.rest().await;
    assert!(rest.starts_with(b"HTTP/1.1 "), "{answer:?}");
    assert_eq!(upstream.connections().len(), 1, "{answer:?}");
    answer
}

#[tokio::test]
async fn answers_without_a_body_have_none_and_keep_their_length() {
    for (method, said, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
            Some("7"),
        ),
        (
            "HEAD",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\n",
            Some("7"),
        ),
        (
            "GET",
            // The length of what was not sent need not be told (RFC 9110, 8.6).
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
            None,
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", None),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", None),
    ] {
        let answer = exchange(method, said).await;
        assert_eq!(answer.header("content-length"), length, "{said:?}");
        assert_eq!(answer.header("transfer-encoding"), None, "{said:?}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    const SAID: &str = "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
                        2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let upstream = Recorder::answering(|_| SAID.into()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-hash\r\nConnection: close, TE\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Hash: 9\r\n\r\n",
    )
    .await;
    let told = String::from_utf8(wire.rest().await).unwrap();
    assert!(told.ends_with("\r\n0\r\nx-sum: 7\r\n\r\n"), "{told}");
    let got = upstream.got();
    assert!(got.ends_with("||2|hi|0|x-hash: 9||"), "{got}");
    assert!(got.contains("|te: trailers|"), "{got}");
}

#[tokio::test]
async fn requests_that_do_not_wait_are_answered_in_their_order() {
    let upstream = Recorder::answering(|n| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{n}").into_bytes()
    })
    .await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    let request = |n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.say((0..9).map(request).collect::<String>()).await;
    for n in 0..9_u8 {
        let answer = wire.answer().await.unwrap();
        assert_eq!(answer.body, [b'0' + n]);
    }
}

#[tokio::test]
async fn http_1_0_closes_unless_it_asks_not_to() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    for _ in 0..2 {
        wire.say("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            .await;
        let answer = wire.answer().await.unwrap();
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(answer.body, b"ok");
    }
    // Nor need it name a host.
    wire.say("GET / HTTP/1.0\r\n\r\n").await;
    let told = String::from_utf8(wire.rest().await).unwrap();
    assert!(told.starts_with("HTTP/1.0 200 OK\r\n"), "{told}");
    assert!(told.ends_with("\r\n\r\nok"), "{told}");
    assert_eq!(
        upstream.got(),
        "GET / HTTP/1.1|host: a||GET / HTTP/1.1|host: a||GET / HTTP/1.1|host: ||"
    );
}

#[tokio::test]
async fn http_1_0_gets_no_chunks() {
    let said = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let upstream = Recorder::answering(|_| said.into()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let told = String::from_utf8(wire.rest().await).unwrap();
    assert!(!told.contains("transfer-encoding"), "{told}");
    assert!(told.ends_with("\r\n\r\nok"), "{told}");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    let listener = TcpListener::bind(crate::support::any()).await.unwrap();
    let mut config = crate::support::config([mesh_proxy::Role::Forward]);
    config.standalone = Some(mesh_proxy::Standalone {
        forward: vec![listener.local_addr().unwrap().to_string()],
        profile: None,
    });
    let proxy = Running::start(config);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut socket, _) = listener.accept().await.unwrap();
    let _ = socket.read(&mut [0; 1024]).await.unwrap();
    socket
        .write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
        .await
        .unwrap();
    drop(socket);
    let answer = wire.answer().await.unwrap();
    assert_eq!(answer.body, b"until the end");
    // The client is spoken to as it speaks, and its connection goes on.
    assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn an_upstream_of_grpc_may_answer_with_a_head_alone() {
    let upstream = Upstream::start(|_, _| async {
        let mut rsp = crate::support::answer(200, "");
        let headers = rsp.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers.insert("grpc-status", "7".parse().unwrap());
        rsp
    })
    .await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut client = Client::http2(proxy.addr()).await;
    let mut req = client.request("POST", "a", "/shop.Books/Get", "");
    req.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let reply = client.send(req).await.unwrap();
    assert_eq!(reply.header("grpc-status"), Some("7"));
    assert!(reply.trailers.is_none() && reply.body.is_empty());
    let metrics = proxy.metrics().await;
    let labels = [r#"grpc_status="7""#, r#"classification="failure""#];
    assert_eq!(metrics.sum("response_total", &labels), 1.0);
}

#[tokio::test]
async fn a_connect_where_there_is_none_is_refused() {
    let upstream = Recorder::answering(|_| OK.to_vec()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status(), 501);
    assert_eq!(upstream.got(), "");
}

#[tokio::test]
async fn http_1_0_is_promised_no_connection_that_only_a_close_can_end() {
    let said = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let upstream = Recorder::answering(|_| said.into()).await;
    let inbound = Running::start(config([Role::Inbound(upstream.addr())]));
    for proxy in [upstream.proxy(), inbound] {
        for _ in 0..10 {
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
                .await;
            let told = String::from_utf8(wire.rest().await).unwrap();
            assert!(told.starts_with("HTTP/1.0 200 OK\r\n"), "{told}");
            assert_eq!(connection(&told), ["close"], "{told}");
            assert!(told.ends_with("\r\n\r\nok"), "{told}");
        }
    }
}

#[tokio::test]
async fn errors_over_http_1_0_say_close_and_nothing_else() {
    let upstream = Recorder::answering(|_| b"?\r\n\r\n".to_vec()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        .await;
    let told = String::from_utf8(wire.rest().await).unwrap();
    assert!(told.starts_with("HTTP/1.0 502 "), "{told}");
    assert_eq!(connection(&told), ["close"], "{told}");
}

/// The values of `Connection` in a response.
fn connection(told: &str) -> Vec<&str> {
    let lines = told.lines();
    lines
        .filter_map(|line| line.strip_prefix("connection: "))
        .collect()
}

#[tokio::test]
async fn a_client_that_closes_its_side_behind_its_request_is_answered() {
    let closed = Arc::new(Semaphore::new(0));
    let closes = closed.clone();
    let upstream = Upstream::start(move |_, _| {
        let closed = closed.clone();
        async move {
            closed.acquire().await.unwrap().forget();
            answer(200, "late")
        }
    })
    .await;
    let roles = [
        standalone(&[&upstream]),
        config([Role::Inbound(upstream.addr())]),
    ];
    let [proxy, inbound] = roles.map(|mut config| {
        // However busy the machine is.
        config.limits.half_close = std::time::Duration::from_secs(20);
        Running::start(config)
    });
    let closes = &closes;
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ] {
        for addr in [proxy.addr(), inbound.addr()] {
            let all = (0..16).map(|_| async move {
                let mut socket = tokio::net::TcpStream::connect(addr).await.unwrap();
                socket.write_all(request.as_bytes()).await.unwrap();
                socket.shutdown().await.unwrap();
                closes.add_permits(1);
                let mut told = String::new();
                socket.read_to_string(&mut told).await.unwrap();
                assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
                assert!(told.ends_with("late"), "{told}");
            });
            futures_util::future::join_all(all).await;
        }
    }
}
