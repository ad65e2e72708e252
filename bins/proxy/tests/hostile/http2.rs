//! HTTP/2 requests that mean one thing here and could mean another elsewhere.

use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PRIORITY,
        PROTOCOL_ERROR, RST_STREAM, frame, get, headers,
    },
    support::{Running, Upstream, answer, standalone},
    wire::Wire,
};

async fn upstream() -> (Upstream, Running) {
    let upstream = Upstream::start(|_, _| async { answer(200, "ok") }).await;
    let proxy = Running::start(standalone(&[&upstream]));
    (upstream, proxy)
}

/// The first thing that is said of a request.
async fn verdict(wire: &mut Wire) -> Option<Frame> {
    loop {
        let frame = wire.frame().await?;
        if matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY) {
            return Some(frame);
        }
    }
}

const PSEUDO: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/"),
];

/// A request with these headers is an error of its stream, or of its connection: where HPACK meets
/// bytes that no header may have, h2 does not go on.
async fn is_malformed(list: &[(&str, &str)]) {
    let (upstream, proxy) = upstream().await;
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(list)))
        .await;
    let verdict = verdict(&mut wire).await.unwrap();
    assert_ne!(verdict.kind, HEADERS, "{list:?}: {verdict:?}");
    assert_eq!(verdict.code(), PROTOCOL_ERROR, "{list:?}");
    if verdict.kind == GOAWAY {
        wire = Wire::http2(proxy.addr(), &[]).await;
    }
    // Others on its connection are served, once the bad one has not been.
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 3, &get()))
        .await;
    assert_eq!(wire.frame_of(HEADERS).await.unwrap().stream, 3);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1, "{list:?}");
    assert_eq!(seen[0].uri, "http://a/");
}

/// The usual pseudo-headers with one more header.
async fn header_is_malformed(name: &str, value: &str) {
    is_malformed(&[&PSEUDO[..], &[(name, value)]].concat()).await;
}

#[tokio::test]
async fn line_ends_and_nul_in_values_are_malformed() {
    for value in [
        "a\r\nhost: b",
        "a\rb",
        "a\nb",
        "a\0b",
        "\r\n\r\nGET / HTTP/1.1",
    ] {
        header_is_malformed("x", value).await;
    }
    for path in ["/\r\nx: y", "/\0", "/ HTTP/1.1\r\nhost: b", "/a b"] {
        let mut list = PSEUDO;
        list[3].1 = path;
        is_malformed(&list).await;
    }
    for authority in ["a\r\nx: y", "a b", "a/b"] {
        let mut list = PSEUDO;
        list[2].1 = authority;
        is_malformed(&list).await;
    }
}

#[tokio::test]
async fn names_that_http1_could_not_write_are_malformed() {
    for name in ["X-Upper", "x y", "x:", "x\r\n", "", "h\u{f6}st", "x\0"] {
        header_is_malformed(name, "y").await;
    }
}

#[tokio::test]
async fn headers_of_a_connection_are_malformed() {
    for (name, value) in [
        ("connection", "keep-alive"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        header_is_malformed(name, value).await;
    }
}

#[tokio::test]
async fn pseudo_headers_come_once_first_and_whole() {
    let pseudo = PSEUDO;
    for list in [
        // Twice.
        &[pseudo[0], pseudo[0], pseudo[1], pseudo[2], pseudo[3]][..],
        &[
            pseudo[0],
            pseudo[1],
            pseudo[2],
            pseudo[3],
            (":path", "/admin"),
        ],
        &[
            pseudo[0],
            pseudo[1],
            pseudo[2],
            (":authority", "b"),
            pseudo[3],
        ],
        // After others.
        &[("x", "y"), pseudo[0], pseudo[1], pseudo[2], pseudo[3]],
        // Not of a request, or of none.
        &[
            pseudo[0],
            pseudo[1],
            pseudo[2],
            pseudo[3],
            (":status", "200"),
        ],
        &[pseudo[0], pseudo[1], pseudo[2], pseudo[3], (":evil", "x")],
        // Missing, or empty.
        &[pseudo[1], pseudo[2], pseudo[3]],
        &[pseudo[0], pseudo[2], pseudo[3]],
        &[pseudo[0], pseudo[1], pseudo[2]],
        &[pseudo[0], pseudo[1], pseudo[2], (":path", "")],
        &[("", ""), pseudo[0], pseudo[1], pseudo[2], pseudo[3]],
        // An extended CONNECT that was not offered.
        &[
            (":method", "CONNECT"),
            pseudo[1],
            pseudo[2],
            pseudo[3],
            (":protocol", "websocket"),
        ],
    ] {
        is_malformed(list).await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_no_whole_request() {
    let (upstream, proxy) = upstream().await;
    for (length, body) in [("2", "GET / HTTP/1.1\r\n\r\n"), ("9", "hi"), ("+2", "hi")] {
        let mut wire = Wire::http2(proxy.addr(), &[]).await;
        let mut list = PSEUDO.to_vec();
        list[0].1 = "POST";
        list.push(("content-length", length));
        wire.say(frame(HEADERS, END_HEADERS, 1, &headers(&list)))
            .await;
        wire.say(frame(DATA, END_STREAM, 1, body.as_bytes())).await;
        let verdict = verdict(&mut wire).await.unwrap();
        // 200 is 0x88 in HPACK.
        assert!(
            verdict.kind != HEADERS || verdict.payload[0] != 0x88,
            "{length} {body}"
        );
    }
    assert!(upstream.seen().iter().all(|seen| seen.body.len() < 9));
}

#[tokio::test]
async fn a_head_without_end_or_in_between_ends_the_connection() {
    let (upstream, proxy) = upstream().await;
    for frames in [
        // Another frame within a head.
        [
            frame(HEADERS, END_STREAM, 1, &get()),
            frame(DATA, 0, 1, b"x"),
        ],
        [
            frame(HEADERS, END_STREAM, 1, &get()),
            frame(CONTINUATION, END_HEADERS, 3, b""),
        ],
        // A continuation of nothing.
        [frame(CONTINUATION, END_HEADERS, 1, &get()), Vec::new()],
        // Streams of even numbers are the server's.
        [
            frame(HEADERS, END_STREAM | END_HEADERS, 2, &get()),
            Vec::new(),
        ],
        [
            frame(HEADERS, END_STREAM | END_HEADERS, 0, &get()),
            Vec::new(),
        ],
        // An index that there is not.
        [
            frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                b"\xff\xff\xff\xff\x0f",
            ),
            Vec::new(),
        ],
        // A frame longer than it may be.
        [frame(DATA, 0, 1, &[0; 20_000]), Vec::new()],
    ] {
        let mut wire = Wire::http2(proxy.addr(), &[]).await;
        wire.say(frames.concat()).await;
        let verdict = verdict(&mut wire).await;
        assert!(verdict.is_none_or(|frame| frame.kind == GOAWAY));
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn absurd_priorities_are_ignored() {
    let (_upstream, proxy) = upstream().await;
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let mut flood = Vec::new();
    for stream in 0..5_000_u32 {
        // On the stream before it, exclusively, with the largest weight: a chain of 5,000.
        let parent = (1 << 31) | (stream * 2 + 1);
        let payload = [&parent.to_be_bytes()[..], &[255]].concat();
        flood.extend(frame(PRIORITY, 0, stream * 2 + 3, &payload));
    }
    wire.say(&flood).await;
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 20_001, &get()))
        .await;
    assert_eq!(verdict(&mut wire).await.unwrap().kind, HEADERS);

    // Of itself: an error of its stream or its connection.
    let payload = [&3_u32.to_be_bytes()[..], &[0]].concat();
    wire.say(frame(PRIORITY, 0, 3, &payload)).await;
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 20_003, &get()))
        .await;
    assert!(verdict(&mut wire).await.is_some());
}

#[tokio::test]
async fn a_length_said_twice_is_said_once() {
    for (lengths, expected) in [(["2", "2"], true), (["2", "3"], false)] {
        let (upstream, proxy) = upstream().await;
        let mut list = PSEUDO.to_vec();
        list[0].1 = "POST";
        list.extend(lengths.map(|length| ("content-length", length)));
        let mut wire = Wire::http2(proxy.addr(), &[]).await;
        wire.say(frame(HEADERS, END_HEADERS, 1, &headers(&list)))
            .await;
        wire.say(frame(DATA, END_STREAM, 1, b"hi")).await;
        let verdict = verdict(&mut wire).await.unwrap();
        // 200 is 0x88 in HPACK.
        let is_served = verdict.kind == HEADERS && verdict.payload[0] == 0x88;
        assert_eq!(is_served, expected, "{lengths:?}: {verdict:?}");
        for seen in upstream.seen() {
            let all = seen.headers.get_all("content-length");
            assert!(expected && all.iter().eq(["2"]), "{lengths:?}: {seen:?}");
        }
    }
}
