//! An upstream that answers what could be read in two ways.

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, frame, headers},
    recorder::{OK, Recorder},
    support::{Client, Peer, Running, any, config},
    wire::Wire,
};
use mesh_proxy::Role;
use tokio::net::TcpListener;

/// Returns the response to the first of two requests on one connection, where the upstream sends
/// `said`; checks that the second has its own response.
async fn first(method: &str, said: &'static [u8]) -> (u16, String, Vec<u8>) {
    let answers = move |n| if n == 0 { said.to_vec() } else { OK.to_vec() };
    let upstream = Recorder::answering(answers).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    let Some(first) = wire.answer_to(method).await else {
        return (0, String::new(), Vec::new());
    };
    if first.header("connection") == Some("close") {
        wire = Wire::connect(proxy.addr()).await;
    }
    wire.say("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let second = wire.answer().await.unwrap();
    assert_eq!(
        (second.status(), &*second.body),
        (200, &b"ok"[..]),
        "{said:?}"
    );
    let reason = first.header("mesh-reason").unwrap_or_default().to_owned();
    (first.status(), reason, first.body)
}

const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

#[tokio::test]
async fn lengths_that_differ_are_a_broken_protocol() {
    for said in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\r\n folded\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhi",
        "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 99999 OK\r\ncontent-length: 2\r\n\r\nhi",
        "hello\r\n\r\n",
    ] {
        let (status, reason, _) = first("GET", said.as_bytes()).await;
        assert_eq!((status, &*reason), (502, "protocol"), "{said:?}");
    }
}

#[tokio::test]
async fn a_length_said_twice_is_said_once() {
    for said in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nhi",
    ] {
        let upstream = Recorder::answering(|_| said.as_bytes().to_vec()).await;
        let proxy = upstream.proxy();
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = wire.answer().await.unwrap();
        assert_eq!(
            answer.head.matches("content-length: 2\r\n").count(),
            1,
            "{answer:?}"
        );
        assert_eq!(answer.body, b"hi");
    }
}

#[tokio::test]
async fn a_space_before_the_colon_of_a_response_header_is_removed() {
    let said = b"HTTP/1.1 200 OK\r\nx-odd : y\r\ncontent-length \t: 2\r\n\r\nhi";
    let upstream = Recorder::answering(|_| said.to_vec()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status(), &*answer.body), (200, &b"hi"[..]));
    assert_eq!(answer.header("x-odd"), Some("y"), "{answer:?}");
    assert_eq!(answer.header("content-length"), Some("2"), "{answer:?}");
}

#[tokio::test]
async fn what_follows_an_answer_is_nobodys_answer() {
    for (method, head) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\ncontent-length: 47\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 47\r\n\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 47\r\n\r\n"),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let said = format!("{head}{EVIL}").leak().as_bytes();
        let (status, _, body) = first(method, said).await;
        assert_eq!(head.split(' ').nth(1), Some(&*status.to_string()));
        assert_eq!(body, b"", "{head:?}");
    }
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_next_request() {
    let upstream = Recorder::answering(|_| [OK, EVIL.as_bytes()].concat()).await;
    let proxy = upstream.proxy();
    for _ in 0..10 {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.unwrap().body, b"ok");
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let many = || "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(10_000);
    let upstream = Recorder::answering(move |_| [many().as_bytes(), OK].concat()).await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status(), &*answer.body), (200, &b"ok"[..]));
}

#[tokio::test]
async fn too_large_a_head_is_a_502_by_the_name_of_the_limit() {
    for lines in [
        format!("x: {}\r\n", "y".repeat(70_000)),
        "x: y\r\n".repeat(101),
        "x: y\r\n".repeat(200_000),
    ] {
        let said = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nhi");
        let upstream = Recorder::answering(move |_| said.clone().into_bytes()).await;
        let proxy = upstream.proxy();
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = wire.answer().await.unwrap();
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.header("mesh-reason"), Some("protocol"));
        let error = answer.header("l5d-proxy-error").unwrap();
        assert!(error.contains("--max-head-bytes"), "{error}");
    }
}

#[tokio::test]
async fn an_application_says_nothing_in_the_name_of_a_proxy() {
    let said =
        "HTTP/1.1 200 OK\r\nl5d-x: y\r\nl5d-proxy-error: z\r\nx: y\r\ncontent-length: 2\r\n\r\nhi";
    let upstream = Recorder::answering(|_| said.as_bytes().to_vec()).await;
    for proxy in [
        upstream.proxy(),
        Running::start(config([Role::Inbound(upstream.addr())])),
    ] {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = wire.answer().await.unwrap();
        assert!(!answer.head.contains("l5d-"), "{answer:?}");
        assert_eq!(answer.header("x"), Some("y"));
    }
}

#[tokio::test]
async fn over_http2_a_length_said_twice_is_said_once_and_a_path_goes_no_further() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    for (lengths, expected) in [(["2", "2"], 200), (["2", "3"], 502)] {
        let proxy = Running::start(config([Role::Inbound(addr)]));
        let serve = async {
            let mut peer = Peer::accept(&listener).await;
            let (stream, _) = peer.whole().await;
            let mut list = vec![(":status", "200"), (":path", "/evil")];
            list.extend(lengths.map(|length| ("content-length", length)));
            let head = frame(HEADERS, END_HEADERS, stream, &headers(&list));
            let body = frame(DATA, END_STREAM, stream, b"hi");
            peer.write_all(&[head, body].concat()).await;
            while peer.read().await.is_some() {}
        };
        let call = async {
            let mut client = Client::http2(proxy.addr()).await;
            client.get("a", "/").await.unwrap()
        };
        let reply = tokio::select! {
            reply = call => reply,
            () = serve => unreachable!("the proxy keeps its connection"),
        };
        assert_eq!(reply.status, expected, "{lengths:?}: {reply:?}");
        if expected == 200 {
            let all = reply.headers.get_all("content-length");
            assert!(all.iter().eq(["2"]), "{reply:?}");
            assert_eq!(reply.headers.len(), 1, "{reply:?}");
        } else {
            assert_eq!(reply.header("mesh-reason"), Some("protocol"));
        }
    }
}
