//! The limit on open connections.

use crate::{
    recorder::Recorder,
    support::{Client, get},
    wire::Wire,
};

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_makes_room_again() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(|limits| limits.connections = 2);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.unwrap().status(), 200);
        held.push(wire);
    }
    let reply = get(proxy.addr(), "/").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("mesh-reason"), Some("overloaded"));
    assert_eq!(
        reply.header("l5d-proxy-error"),
        Some("2 connections are open (--max-connections)")
    );
    let reply = Client::http2(proxy.addr())
        .await
        .get("a", "/")
        .await
        .unwrap();
    assert_eq!(reply.status, 503);
    // What says nothing that could be answered is closed.
    let mut silent = Wire::connect(proxy.addr()).await;
    silent.say("\0").await;
    assert_eq!(silent.rest().await, b"");
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("connection_refused_total", &[]), 3.0);

    // Whoever was served is still.
    held[0].say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(held[0].answer().await.unwrap().status(), 200);
    held.clear();
    while get(proxy.addr(), "/").await.status != 200 {}
}
