//! Requests whose end two readers could see at different places.

use crate::{
    recorder::Recorder,
    support::{Running, config},
    wire::Wire,
};
use mesh_proxy::Role;

/// Sends `bytes` on a connection of its own; what the client is told until the end of it.
async fn send(upstream: &Recorder, bytes: &str) -> String {
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(bytes).await;
    String::from_utf8(wire.rest().await).unwrap()
}

/// Nothing reaches the upstream, and the client is told so, once.
async fn is_refused(bytes: &str) {
    let upstream = Recorder::start().await;
    let told = send(&upstream, bytes).await;
    assert_eq!(upstream.got(), "", "{bytes:?}");
    let statuses = told.matches("HTTP/1.1 ").count();
    assert!(statuses <= 1, "{bytes:?}: {told}");
    if statuses == 1 {
        assert!(
            told.starts_with("HTTP/1.1 4") || told.starts_with("HTTP/1.1 5"),
            "{bytes:?}: {told}"
        );
    }
}

/// Exactly `expected` reaches the upstream, and there is one answer.
async fn becomes(bytes: &str, expected: &str) {
    let upstream = Recorder::start().await;
    let told = send(&upstream, bytes).await;
    assert_eq!(upstream.got(), expected, "{bytes:?}");
    assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{bytes:?}: {told}");
    assert!(told.starts_with("HTTP/1.1 200 OK"), "{bytes:?}: {told}");
}

#[tokio::test]
async fn cl_te_is_read_by_its_encoding_and_the_connection_ends() {
    becomes(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1|host: a|transfer-encoding: chunked||0||",
    )
    .await;
}

#[tokio::test]
async fn te_cl_is_read_by_its_encoding_and_the_connection_ends() {
    becomes(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
         25\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nX: y\r\n0\r\n\r\n",
        "POST / HTTP/1.1|host: a|transfer-encoding: chunked||\
         25|GET /smuggled HTTP/1.1|Host: a|X: y|0||",
    )
    .await;
}

#[tokio::test]
async fn an_obfuscated_encoding_is_refused() {
    for encoding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked;q=1",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: ",
    ] {
        is_refused(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n{encoding}\r\n\r\n\
             0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .await;
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_supported_ends_the_connection() {
    for encoding in ["chunked, chunked", "gzip, chunked"] {
        let upstream = Recorder::start().await;
        for proxy in [
            upstream.proxy(),
            Running::start(config([Role::Inbound(upstream.addr())])),
        ] {
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {encoding}\r\n\r\n\
                 2\r\nhi\r\n0\r\n\r\n"
            ))
            .await;
            let answer = wire.answer().await.unwrap();
            assert_eq!(answer.status(), 501, "{encoding}");
            assert_eq!(answer.header("connection"), Some("close"), "{encoding}");
            assert_eq!(wire.rest().await, b"", "{encoding}");
        }
        assert_eq!(upstream.got(), "");
    }
}

#[tokio::test]
async fn http_1_0_has_no_upgrades() {
    for (version, passes) in [("1.0", false), ("1.1", true)] {
        let upstream = Recorder::start().await;
        let proxy = upstream.proxy();
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(format!(
            "GET / HTTP/{version}\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        ))
        .await;
        assert_eq!(wire.answer().await.unwrap().status(), 200, "{version}");
        assert_eq!(upstream.got().contains("upgrade"), passes, "{version}");
    }
}

#[tokio::test]
async fn an_encoding_in_http_1_0_is_refused() {
    is_refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn lengths_that_differ_are_refused() {
    for lengths in [
        "5\r\nContent-Length: 6",
        "5, 6",
        "5,5",
        "6\r\nContent-Length: 5, 6",
    ] {
        is_refused(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {lengths}\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .await;
    }
}

#[tokio::test]
async fn a_length_said_twice_is_said_once() {
    becomes(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\
         Connection: close\r\n\r\nhello",
        "POST / HTTP/1.1|host: a|content-length: 5||hello",
    )
    .await;
}

#[tokio::test]
async fn a_length_that_is_no_plain_number_is_refused() {
    for length in [
        "+5",
        "-5",
        "5 5",
        "0x5",
        "5;",
        "5.0",
        "",
        "\u{664}",
        "18446744073709551616",
        "18446744073709551615",
        "99999999999999999999999",
        "5\x0b",
        "_5",
        "5e0",
    ] {
        is_refused(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nhello"
        ))
        .await;
    }
}

#[tokio::test]
async fn lines_that_end_in_a_bare_lf_become_lines() {
    becomes(
        "POST / HTTP/1.1\nHost: a\nX: y\nContent-Length: 2\nConnection: close\n\nhi",
        "POST / HTTP/1.1|host: a|x: y|content-length: 2||hi",
    )
    .await;
}

#[tokio::test]
async fn an_encoding_behind_a_bare_lf_is_an_encoding_for_everybody() {
    becomes(
        "POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         2\r\nhi\r\n0\r\n\r\n",
        "POST / HTTP/1.1|host: a|x: y|transfer-encoding: chunked||2|hi|0||",
    )
    .await;
}

#[tokio::test]
async fn a_folded_line_is_refused() {
    for folded in [
        "X: y\r\n z",
        "X: y\r\n\tz",
        "Host: b\r\n c",
        "X:\r\n Content-Length: 5",
    ] {
        is_refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{folded}\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn nul_and_cr_in_a_head_are_refused() {
    for line in [
        "X: a\0b",
        "X\0: a",
        "X: a\rb",
        "X\r: a",
        "X: a\rContent-Length: 5",
        "\0X: a",
        "X: \x7f",
    ] {
        is_refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")).await;
    }
    for target in ["/\0", "/\r", "/ /", "/\x7f", "/ HTTP/1.1\r", "a b"] {
        is_refused(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn space_before_a_colon_or_a_first_header_is_refused() {
    for line in [
        "X : y",
        "Content-Length : 5",
        " X: y",
        "X y",
        ": y",
        "X\u{e4}: y",
        "Host;: a",
    ] {
        is_refused(&format!("GET / HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn a_length_that_connection_names_stays() {
    becomes(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
         Connection: close, Content-Length, Host, Transfer-Encoding\r\n\r\nhello",
        "POST / HTTP/1.1|host: a|content-length: 5||hello",
    )
    .await;
}

#[tokio::test]
async fn http2_in_place_of_http1_is_not_asked_for() {
    for (asked, passes) in [
        ("Upgrade: h2c", ""),
        (
            "Upgrade: h2c, websocket",
            "upgrade: websocket|connection: upgrade|",
        ),
        (
            "Upgrade: websocket\r\nUpgrade: h2c",
            "upgrade: websocket|connection: upgrade|",
        ),
    ] {
        let upstream = Recorder::start().await;
        let proxy = upstream.proxy();
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n{asked}\r\n\r\n"
        ))
        .await;
        assert_eq!(wire.answer().await.unwrap().status(), 200, "{asked}");
        let got = upstream.got();
        assert_eq!(got, format!("GET / HTTP/1.1|host: a|{passes}|"), "{asked}");
    }
}

#[tokio::test]
async fn a_get_with_a_body_takes_it_along() {
    becomes(
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 23\r\nConnection: close\r\n\r\n\
         GET /x HTTP/1.1\r\nX: y\r\n",
        "GET / HTTP/1.1|host: a|content-length: 23||GET /x HTTP/1.1|X: y|",
    )
    .await;
}

#[tokio::test]
async fn two_requests_in_one_segment_are_two_requests() {
    let upstream = Recorder::start().await;
    let told = send(
        &upstream,
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
         \r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(
        upstream.got(),
        "POST /1 HTTP/1.1|host: a|content-length: 2||hiGET /2 HTTP/1.1|host: a||"
    );
    assert_eq!(told.matches("HTTP/1.1 200 OK").count(), 2);
}
