//! A client that breaks off its request is nobody's failure but its own.

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
