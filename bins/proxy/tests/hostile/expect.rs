//! `Expect: 100-continue`.

use crate::{recorder::Recorder, wire::Wire};

#[tokio::test]
async fn a_client_that_waits_for_the_word_gets_it() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    assert_eq!(wire.answer().await.unwrap().status(), 100);
    wire.say("hi").await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);
    assert!(upstream.got().ends_with("||hi"));
}

#[tokio::test]
async fn a_body_that_follows_unasked_is_a_body() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 24\r\n\r\n\
         GET /x HTTP/1.1\r\nX: y\r\n\r\n\
         GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let told = String::from_utf8(wire.rest().await).unwrap();
    assert_eq!(told.matches("HTTP/1.1 200").count(), 2, "{told}");
    let got = upstream.got();
    assert_eq!(got.matches("|host: a|").count(), 2, "{got}");
    assert!(got.ends_with("GET /next HTTP/1.1|host: a||"), "{got}");
}

#[tokio::test]
async fn a_final_answer_before_the_word_does_not_make_the_body_a_request() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    // Refused by the proxy itself, which never asks for the body.
    wire.say(
        "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nExpect: 100-continue\r\n\
         Content-Length: 40\r\n\r\n",
    )
    .await;
    assert_eq!(wire.answer().await.unwrap().status(), 400);
    wire.say("GET /smuggled HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
        .await;
    while wire.more().await.is_some() {}
    assert_eq!(upstream.got(), "");
}
