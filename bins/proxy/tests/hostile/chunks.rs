//! Chunks that are not what they seem.

use crate::{recorder::Recorder, wire::Wire};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Sends chunks; what reached the upstream after the head, and how the client was answered.
async fn send(chunks: &str) -> (String, Option<u16>) {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(format!("{HEAD}{chunks}")).await;
    let status = wire.answer().await.map(|answer| answer.status());
    if status != Some(200) {
        assert_eq!(wire.rest().await, b"", "{chunks:?}");
    }
    let got = upstream.got();
    let body = got.split_once("||").map_or("", |(_, body)| body);
    (body.to_owned(), status)
}

#[tokio::test]
async fn extensions_of_chunks_end_at_the_proxy() {
    for chunks in [
        "2;a=b\r\nhi\r\n0;c\r\n\r\n",
        "2;\"0\r\r\nhi\r\n0\r\n\r\n",
        "2 \t;x\r\nhi\r\n0\r\n\r\n",
        "0002\r\nhi\r\n000\r\n\r\n",
    ] {
        let (got, status) = send(chunks).await;
        if status == Some(200) {
            assert_eq!(got, "2|hi|0||", "{chunks:?}");
        } else {
            assert!(!got.contains("0||"), "{chunks:?}: {got}");
        }
    }
    let (got, status) = send("2;a=b\r\nhi\r\n0;c\r\n\r\n").await;
    assert_eq!((&*got, status), ("2|hi|0||", Some(200)));
}

#[tokio::test]
async fn a_size_that_is_none_never_becomes_a_whole_request() {
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\nhi\r\n0\r\n\r\n",
        "10000000000000002\r\nhi\r\n0\r\n\r\n",
        "+2\r\nhi\r\n0\r\n\r\n",
        "-2\r\nhi\r\n0\r\n\r\n",
        "0x2\r\nhi\r\n0\r\n\r\n",
        " 2\r\nhi\r\n0\r\n\r\n",
        "2 2\r\nhi\r\n0\r\n\r\n",
        "\r\nhi\r\n0\r\n\r\n",
        "g\r\nhi\r\n0\r\n\r\n",
        // Line ends that another reader might accept.
        "2\nhi\r\n0\r\n\r\n",
        "2\r\nhi\n0\r\n\r\n",
        "2;\nxx\r\n4c\r\nhi\r\n0\r\n\r\n",
        "2\r\rhi\r\n0\r\n\r\n",
        "2\r\nhiXX0\r\n\r\n",
        "2\r\nhi0\r\n\r\n",
    ] {
        let (got, status) = send(chunks).await;
        assert!(!got.ends_with("0||"), "{chunks:?}: {got}");
        assert_eq!(status, Some(400), "{chunks:?}");
    }
}

#[tokio::test]
async fn a_flood_of_extensions_or_trailers_is_refused() {
    let long = "x".repeat(1 << 20);
    let many = "x: y\r\n".repeat(5000);
    for chunks in [
        format!("2;{long}\r\nhi\r\n0\r\n\r\n"),
        format!("2\r\nhi\r\n0\r\nx: {long}\r\n\r\n"),
        format!("2\r\nhi\r\n0\r\n{many}\r\n"),
        "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\ny\r\n".repeat(5000),
    ] {
        let (got, status) = send(&chunks).await;
        assert!(!got.ends_with("0||"));
        assert_ne!(status, Some(200));
    }
}

#[tokio::test]
async fn trailers_cannot_change_what_the_request_was() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Trailer: content-length, host, transfer-encoding, authorization, x-sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nContent-Length: 5\r\nHost: b\r\nTransfer-Encoding: x\r\n\
         Authorization: me\r\nX-Sum: 7\r\nX-Unannounced: 8\r\n\r\n",
    )
    .await;
    while wire.more().await.is_some() {}
    let got = upstream.got();
    let (_, trailers) = got.split_once("|0|").unwrap();
    assert_eq!(trailers, "x-sum: 7||");
}

#[tokio::test]
async fn a_body_that_breaks_off_never_becomes_a_whole_request() {
    for (head, part) in [
        (HEAD.to_owned(), "2\r\nhi\r\n"),
        (
            HEAD.replace("Transfer-Encoding: chunked", "Content-Length: 9"),
            "hi",
        ),
    ] {
        let upstream = Recorder::start().await;
        let proxy = upstream.proxy();
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(format!("{head}{part}")).await;
        while !upstream.got().contains("hi") {
            tokio::task::yield_now().await;
        }
        drop(wire);
        // The next request does not follow on the connection of the broken one.
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.unwrap().status(), 200);
        let connections = upstream.connections();
        assert_eq!(connections.len(), 2);
        assert_eq!(connections[1], "GET /next HTTP/1.1|host: a||");
        assert!(!connections[0].contains("0||") && !connections[0].contains("GET"));
    }
}
