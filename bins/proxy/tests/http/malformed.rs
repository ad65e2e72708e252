//! Responses that no proxy can pass on: the fault is the endpoint's, and the same each time.

use crate::support::*;
use mesh_proxy::Role;

/// In front of `upstream`, with a route that is retried.
fn retrying(upstream: &Upstream) -> Running {
    let discovery = Discovery::default();
    let profile = profile(|route| route.is_retryable = true);
    let destination = destination("books.shop:80", profile, &[upstream.addr()]);
    discovery.set("books:80", destination);
    Running::discovering(config([Role::Outbound]), &discovery)
}

#[tokio::test]
async fn too_large_a_head_is_a_protocol_error_and_one_try_over_either_protocol() {
    let upstream = Upstream::start(|_, _| async {
        let mut rsp = answer(200, "hi");
        for n in 0..9 {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            rsp.headers_mut()
                .insert(name, "y".repeat(8_000).parse().unwrap());
        }
        rsp
    })
    .await;
    let proxy = retrying(&upstream);
    for http2 in [false, true] {
        let mut client = match http2 {
            false => Client::http1(proxy.addr()).await,
            true => Client::http2(proxy.addr()).await,
        };
        let before = upstream.seen().len();
        let reply = client.get("books:80", "/books").await.unwrap();
        assert_eq!(reply.status, 502);
        assert_eq!(reply.header("mesh-reason"), Some("protocol"));
        assert_eq!(reply.header("mesh-no-retry"), Some("protocol"));
        let error = reply.header("l5d-proxy-error").unwrap();
        assert!(error.contains("--max-head-bytes"), "{error}");
        assert_eq!(upstream.seen().len() - before, 1, "http2: {http2}");
    }
}

#[tokio::test]
async fn what_another_proxy_calls_a_protocol_error_is_not_tried_again() {
    let upstream = Upstream::start(|_, _| async {
        let mut rsp = answer(502, "");
        for (name, value) in [("mesh-reason", "protocol"), ("mesh-no-retry", "protocol")] {
            rsp.headers_mut().insert(name, value.parse().unwrap());
        }
        rsp
    })
    .await;
    let proxy = retrying(&upstream);
    let mut client = Client::http1(proxy.addr()).await;
    assert_eq!(client.get("books:80", "/books").await.unwrap().status, 502);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn one_request_is_tried_ten_times_at_most() {
    let upstream = Upstream::answering(|_| 503).await;
    let proxy = retrying(&upstream);
    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get("books:80", "/books").await.unwrap();
    assert_eq!(reply.header("mesh-no-retry"), Some("limit"));
    assert_eq!(upstream.seen().len(), 10);
}
