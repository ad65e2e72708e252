//! A client that breaks off its request is nobody's failure but its own.

use crate::recorder::Recorder;
use crate::support::*;
use mesh_proxy::Role;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const LEFT: [&str; 2] = [
    "POST /books HTTP/1.1\r\nHost: books:80\r\ncontent-length: 100\r\n\r\nonce",
    "POST /books HTTP/1.1\r\nHost: books:80\r\ntransfer-encoding: chunked\r\n\r\n4\r\nonce\r\n",
];

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_ejects_no_endpoint() {
    let (one, two) = (
        Upstream::answering(|_| 200).await,
        Upstream::answering(|_| 200).await,
    );
    let discovery = Discovery::default();
    let addrs = [one.addr(), two.addr()];
    discovery.set(
        "books:80",
        destination("books.shop:80", profile(|_| {}), &addrs),
    );
    let mut config = config([Role::Outbound]);
    config.limits.failures = 1;
    let proxy = Running::discovering(config, &discovery);
    let seen = || one.seen().len() + two.seen().len();

    let mut left = 0;
    for request in LEFT.into_iter().cycle().take(6) {
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        // An endpoint has the head; it is noted when the body is over, one way or another.
        drop(client);
        left += 1;
        while seen() < left {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..20 {
        let mut client = Client::http1(proxy.addr()).await;
        assert_eq!(client.get("books:80", "/books").await.unwrap().status, 200);
    }
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("endpoint_ejected", &["target_addr"]), 0.0);
    for name in [
        "response_total",
        "route_response_total",
        "route_actual_response_total",
    ] {
        let failures = metrics.sum(name, &[r#"classification="failure""#]);
        assert_eq!(failures, 0.0, "{name}");
    }
}

#[tokio::test]
async fn a_deadline_that_had_passed_is_not_blamed_on_the_endpoint_whose_sidecar_says_so() {
    const LATE: &str = "HTTP/1.1 504 Gateway Timeout\r\nl5d-proxy-error: late\r\n\
        mesh-reason: timeout\r\ncontent-length: 0\r\n\r\n";
    for (answer, ejected) in [
        (LATE.to_owned(), 0.0),
        // An application may say the one, and no more.
        (LATE.replace("l5d-proxy-error: late\r\n", ""), 1.0),
    ] {
        let script = move |_| answer.clone().into_bytes();
        let (one, two) = (
            Recorder::answering(script.clone()).await,
            Recorder::answering(script).await,
        );
        let discovery = Discovery::default();
        let addrs = [one.addr(), two.addr()];
        let known = destination("books.shop:80", profile(|_| {}), &addrs);
        discovery.set("books:80", known);
        let mut config = config([Role::Outbound]);
        config.limits.failures = 1;
        let proxy = Running::discovering(config, &discovery);
        for _ in 0..6 {
            let mut client = Client::http1(proxy.addr()).await;
            let reply = client.get("books:80", "/books").await.unwrap();
            assert_eq!(reply.status, 504);
            assert_eq!(reply.header("mesh-reason"), Some("timeout"));
        }
        let metrics = proxy.metrics().await;
        assert_eq!(metrics.sum("endpoint_ejected", &["target_addr"]), ejected);
        let failures = metrics.sum("response_total", &[r#"classification="failure""#]);
        assert_eq!(failures > 0.0, ejected > 0.0);
    }
}
