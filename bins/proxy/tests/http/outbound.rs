//! From the application to other services.

use crate::support::*;
use http::Request;
use http_body_util::Full;
use mesh_discover::{Backend, Destination};
use mesh_profile::{ProfileSpec, RetryBudgetSpec};
use mesh_proxy::Role;
use std::sync::Arc;

const BOOKS: &str = "books.shop.svc.cluster.local:7002";

/// A budget that a test does not exhaust.
fn generous(mut profile: ProfileSpec) -> ProfileSpec {
    profile.retry_budget = Some(RetryBudgetSpec {
        retry_ratio: 10.0,
        min_retries_per_second: 1000,
        ttl: "10s".into(),
    });
    profile
}

#[tokio::test]
async fn retries_hide_a_half_failing_upstream_while_the_actual_rate_tells() {
    let upstream = Upstream::answering(|n| if n % 2 == 0 { 500 } else { 200 }).await;
    let discovery = Discovery::default();
    let retryable = generous(profile(|route| route.is_retryable = true));
    discovery.set(
        "books:7002",
        destination(BOOKS, retryable, &[upstream.addr()]),
    );
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);

    let mut client = Client::http1(proxy.addr()).await;
    for _ in 0..40 {
        let reply = client.get("books:7002", "/books").await.unwrap();
        assert_eq!(reply.status, 200);
    }
    let metrics = proxy.metrics().await;
    let route = r#"rt_route="GET /books""#;
    let (ok, bad) = (r#"classification="success""#, r#"classification="failure""#);
    assert_eq!(metrics.sum("route_response_total", &[route, ok]), 40.0);
    assert_eq!(metrics.sum("route_response_total", &[route, bad]), 0.0);
    assert_eq!(
        metrics.sum("route_actual_response_total", &[route, ok]),
        40.0
    );
    assert_eq!(
        metrics.sum("route_actual_response_total", &[route, bad]),
        40.0
    );
    assert_eq!(metrics.sum("route_retryable_total", &[route]), 40.0);
    // One connection carried them all, and the endpoint's labels are those of discovery.
    assert_eq!(upstream.connections(), 1);
    let endpoint = [
        r#"direction="outbound""#,
        r#"dst_deployment="books""#,
        r#"deployment="web""#,
        r#"authority="books.shop.svc.cluster.local:7002""#,
    ];
    assert_eq!(metrics.sum("response_total", &endpoint), 80.0);
}

#[tokio::test]
async fn a_failed_post_is_not_retried_unless_its_route_says_so() {
    let upstream = Upstream::answering(|n| if n == 0 { 500 } else { 200 }).await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut client = Client::http1(proxy.addr()).await;
    let post = client.request("POST", "shop", "/books", "one");
    assert_eq!(client.send(post).await.unwrap().status, 500);
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(upstream.seen()[0].body, "one");
}

#[tokio::test]
async fn a_route_timeout_is_a_504_with_its_reason() {
    let upstream = Upstream::start(|_, _| std::future::pending()).await;
    let discovery = Discovery::default();
    let timed = profile(|route| route.timeout = Some("25ms".into()));
    discovery.set("books:7002", destination(BOOKS, timed, &[upstream.addr()]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);

    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get("books:7002", "/books").await.unwrap();
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("mesh-reason"), Some("timeout"));
    assert!(reply.header("l5d-proxy-error").unwrap().contains("25ms"));
    let metrics = proxy.metrics().await;
    let timeout = [r#"rt_route="GET /books""#, r#"error="timeout""#];
    assert_eq!(metrics.sum("route_response_total", &timeout), 1.0);
    assert_eq!(
        metrics.sum("route_actual_request_total", &timeout[..1]),
        1.0
    );
    assert_eq!(
        metrics.sum("route_actual_response_total", &timeout[..1]),
        0.0
    );
}

#[tokio::test]
async fn a_request_to_a_proxy_becomes_one_to_a_server() {
    let upstream = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    discovery.set(
        "books",
        destination(BOOKS, ProfileSpec::default(), &[upstream.addr()]),
    );
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);

    let mut client = Client::http1(proxy.addr()).await;
    let req = Request::get("http://Books/books/1?q=a%2Fb")
        .header("host", "elsewhere")
        .header("proxy-connection", "keep-alive")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("l5d-dst-canonical", "forged:1")
        .header("accept", "*/*")
        .body(Full::default())
        .unwrap();
    assert_eq!(client.send(req).await.unwrap().status, 200);

    let seen = &upstream.seen()[0];
    assert_eq!(seen.uri, "/books/1?q=a%2Fb");
    let mut names: Vec<_> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "l5d-dst-canonical"]);
    assert_eq!(seen.headers["host"], "Books");
    assert_eq!(seen.headers["l5d-dst-canonical"], BOOKS);
}

#[tokio::test]
async fn a_fixed_listener_sets_the_host_and_a_gateway_keeps_it() {
    let upstream = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let books = destination(BOOKS, ProfileSpec::default(), &[upstream.addr()]);
    discovery.set("books:7002", books);
    let roles = [
        Role::Upstream("books:7002".into()),
        Role::Gateway("books:7002".into()),
    ];
    for (role, host) in roles.into_iter().zip(["books:7002", "localhost:1"]) {
        let proxy = Running::discovering(config([role]), &discovery);
        let mut client = Client::http1(proxy.addr()).await;
        client.get("localhost:1", "/").await.unwrap();
        assert_eq!(upstream.seen().last().unwrap().headers["host"], host);
        let mut client = Client::http2(proxy.addr()).await;
        client.get("localhost:1", "/").await.unwrap();
        let authority = upstream.seen().last().unwrap().uri.authority().cloned();
        assert_eq!(authority.unwrap(), host);
    }
}

#[tokio::test]
async fn names_outside_the_mesh_pass_through_and_count_as_unmeshed() {
    let upstream = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    let host = upstream.addr().to_string();
    assert_eq!(client.get(&host, "/").await.unwrap().status, 200);
    assert!(!upstream.seen()[0].headers.contains_key("l5d-dst-canonical"));

    let metrics = proxy.metrics().await;
    let authority = format!(r#"authority="{host}""#);
    assert_eq!(metrics.sum("request_total", &[&authority]), 1.0);
    assert!(!metrics.0.contains("dst_"));
    assert!(!metrics.0.contains("route_request_total"));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_502_at_once() {
    let proxy = Running::discovering(config([Role::Outbound]), &Discovery::default());
    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get("no-such-name.invalid:80", "/").await.unwrap();
    assert_eq!(reply.status, 502);
    let error = reply.header("l5d-proxy-error").unwrap();
    assert!(
        error.starts_with("cannot resolve no-such-name.invalid:80"),
        "{error}"
    );
}

#[tokio::test]
async fn a_proxy_does_not_send_to_itself() {
    let proxy = Running::discovering(config([Role::Outbound]), &Discovery::default());
    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get(&proxy.addr().to_string(), "/").await.unwrap();
    assert_eq!(reply.status, 502);
    assert!(
        reply
            .header("l5d-proxy-error")
            .unwrap()
            .ends_with("is this proxy itself")
    );
}

#[tokio::test]
async fn an_endpoint_that_is_withdrawn_gets_nothing_more() {
    let (old, new) = (
        Upstream::answering(|_| 200).await,
        Upstream::answering(|_| 200).await,
    );
    let discovery = Discovery::default();
    let at = |addr| destination(BOOKS, ProfileSpec::default(), &[addr]);
    discovery.set("books:7002", at(old.addr()));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    client.get("books:7002", "/").await.unwrap();

    discovery.set("books:7002", at(new.addr()));
    // The change is on its way to the worker; each request may still find either.
    while new.seen().is_empty() {
        assert_eq!(client.get("books:7002", "/").await.unwrap().status, 200);
    }
    let before = old.seen().len();
    for _ in 0..10 {
        assert_eq!(client.get("books:7002", "/").await.unwrap().status, 200);
    }
    assert_eq!(old.seen().len(), before);
}

#[tokio::test]
async fn a_profile_changes_under_a_connection_and_its_counts_stay() {
    let upstream = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let with = |spec| destination(BOOKS, spec, &[upstream.addr()]);
    discovery.set("books:7002", with(ProfileSpec::default()));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    client.get("books:7002", "/books").await.unwrap();

    discovery.set("books:7002", with(profile(|_| {})));
    let mut sent = 1.0;
    loop {
        client.get("books:7002", "/books").await.unwrap();
        sent += 1.0;
        let metrics = proxy.metrics().await;
        let named = metrics.sum("route_request_total", &[r#"rt_route="GET /books""#]);
        assert_eq!(metrics.sum("route_request_total", &[]), sent);
        if named > 0.0 {
            break;
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn leaves_share_by_weight() {
    let (one, two) = (
        Upstream::answering(|_| 200).await,
        Upstream::answering(|_| 200).await,
    );
    let discovery = Discovery::default();
    let leaves = [("v1:1", &one, 3), ("v2:1", &two, 1)]
        .map(|(name, upstream, weight)| (Backend::new(name, [endpoint(upstream.addr())]), weight));
    let split = Destination::named("books:7002", BOOKS).with_split(leaves);
    discovery.set("books:7002", split);
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    for _ in 0..40 {
        client.get("books:7002", "/").await.unwrap();
    }
    assert_eq!((one.seen().len(), two.seen().len()), (30, 10));
}

#[tokio::test]
async fn losing_the_controller_fails_nothing() {
    let upstream = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let books = destination(BOOKS, profile(|_| {}), &[upstream.addr()]);
    discovery.set("books:7002", books);
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    client.get("books:7002", "/books").await.unwrap();
    discovery.die();
    for _ in 0..10 {
        assert_eq!(
            client.get("books:7002", "/books").await.unwrap().status,
            200
        );
    }
    let metrics = proxy.metrics().await;
    let route = r#"rt_route="GET /books""#;
    assert_eq!(metrics.sum("route_request_total", &[route]), 11.0);
}

#[tokio::test]
async fn grpc_passes_with_its_trailers_and_fails_by_its_status() {
    let upstream =
        Upstream::start(
            |_, n| async move { crate::support::grpc(if n == 0 { "14" } else { "0" }) },
        )
        .await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut client = Client::http2(proxy.addr()).await;
    for status in ["14", "0"] {
        let mut req = client.request("POST", "greeter", "/hello.Greeter/Say", "ping");
        let headers = req.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers.insert("te", "trailers".parse().unwrap());
        let reply = client.send(req).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(&reply.body[..], b"\0\0\0\0\x01x");
        assert_eq!(reply.trailers.unwrap()["grpc-status"], status);
    }
    let seen = &upstream.seen()[0];
    assert_eq!(seen.version, http::Version::HTTP_2);
    assert_eq!(seen.uri, "http://greeter/hello.Greeter/Say");
    assert_eq!(seen.headers["te"], "trailers");
    assert_eq!(upstream.connections(), 1);
    let metrics = proxy.metrics().await;
    let failed = [r#"grpc_status="14""#, r#"classification="failure""#];
    assert_eq!(metrics.sum("response_total", &failed), 1.0);
}

#[tokio::test]
async fn no_endpoint_is_a_504_and_a_grpc_deadline_exceeded() {
    let discovery = Discovery::default();
    discovery.set(
        "books:7002",
        destination(BOOKS, ProfileSpec::default(), &[]),
    );
    let mut config = config([Role::Outbound]);
    config.limits.fail_fast = std::time::Duration::from_millis(10);
    let proxy = Running::discovering(config, &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get("books:7002", "/").await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), reply.header("mesh-reason")),
        (504, Some("no-endpoint"))
    );

    let mut client = Client::http2(proxy.addr()).await;
    let mut req = client.request("POST", "books:7002", "/s/m", "");
    req.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let reply = client.send(req).await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), reply.header("grpc-status")),
        (200, Some("4"))
    );
}

#[tokio::test]
async fn two_workers_share_one_budget() {
    let upstream = Upstream::answering(|_| 500).await;
    let discovery = Discovery::default();
    let mut spec = profile(|route| route.is_retryable = true);
    spec.retry_budget = Some(RetryBudgetSpec {
        retry_ratio: 0.0,
        min_retries_per_second: 1,
        ttl: "10s".into(),
    });
    discovery.set("books:7002", destination(BOOKS, spec, &[upstream.addr()]));
    let mut config = config([Role::Outbound]);
    config.workers = 2;
    let proxy = Running::discovering(config, &discovery);
    let proxy = Arc::new(proxy);
    // New connections, so that both workers get some.
    for _ in 0..40 {
        let mut client = Client::http1(proxy.addr()).await;
        let reply = client.get("books:7002", "/books").await.unwrap();
        assert_eq!(reply.status, 500);
    }
    let retries = upstream.seen().len() - 40;
    assert!(retries <= 10, "{retries} retries");
}

#[tokio::test]
async fn an_error_whose_retries_are_spent_asks_callers_not_to_retry() {
    let mut gone = Upstream::answering(|_| 200).await;
    gone.stop();
    while tokio::net::TcpStream::connect(gone.addr()).await.is_ok() {}
    let discovery = Discovery::default();
    let mut spec = profile(|route| route.is_retryable = true);
    spec.retry_budget = Some(RetryBudgetSpec {
        retry_ratio: 0.1,
        min_retries_per_second: 0,
        ttl: "10s".into(),
    });
    discovery.set("books:7002", destination(BOOKS, spec, &[gone.addr()]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get("books:7002", "/books").await.unwrap();
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("mesh-no-retry"), Some("no_budget"));
}

#[tokio::test]
async fn a_retryable_route_whose_time_is_up_asks_callers_not_to_retry() {
    let silent = Upstream::start(|_, _| std::future::pending()).await;
    let discovery = Discovery::default();
    let spec = profile(|route| {
        route.is_retryable = true;
        route.timeout = Some("25ms".into());
    });
    discovery.set("books:7002", destination(BOOKS, spec, &[silent.addr()]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    let reply = client.get("books:7002", "/books").await.unwrap();
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("mesh-no-retry"), Some("limit"));
}

#[tokio::test]
async fn an_error_that_was_not_to_be_retried_says_nothing_about_retries() {
    let mut gone = Upstream::answering(|_| 200).await;
    gone.stop();
    while tokio::net::TcpStream::connect(gone.addr()).await.is_ok() {}
    let discovery = Discovery::default();
    let spec = profile(|route| route.is_retryable = true);
    discovery.set("books:7002", destination(BOOKS, spec, &[gone.addr()]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut client = Client::http1(proxy.addr()).await;
    let post = client.request("POST", "books:7002", "/other", "");
    let reply = client.send(post).await.unwrap();
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("mesh-no-retry"), None);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_costs_no_request_of_any_method() {
    let (mut gone, stays) = (
        Upstream::answering(|_| 200).await,
        Upstream::answering(|_| 200).await,
    );
    gone.stop();
    while tokio::net::TcpStream::connect(gone.addr()).await.is_ok() {}
    let proxy = Running::start(standalone(&[&gone, &stays]));
    for http2 in [false, true] {
        let mut client = match http2 {
            false => Client::http1(proxy.addr()).await,
            true => Client::http2(proxy.addr()).await,
        };
        for _ in 0..20 {
            let post = client.request("POST", "any", "/", "body");
            assert_eq!(client.send(post).await.unwrap().status, 200);
        }
    }
    assert_eq!(stays.seen().len(), 40);
    assert!(stays.seen().iter().all(|seen| seen.body == "body"));
    // Nobody has seen what was not sent: no attempt.
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("route_actual_request_total", &[]), 40.0);
}
