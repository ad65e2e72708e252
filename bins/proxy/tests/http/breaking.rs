//! Endpoints that fail are left out, and callers that cannot be served are told why at once.

use crate::support::*;
use mesh_proxy::Role;
use std::time::Duration;
use tokio::net::TcpListener;

const BOOKS: &str = "books.shop.svc.cluster.local:7002";

async fn of(proxy: &Running) -> u16 {
    let mut client = Client::http1(proxy.addr()).await;
    client.get("books:7002", "/").await.unwrap().status.as_u16()
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_out_and_the_metrics_name_it() {
    let failing = Upstream::answering(|_| 503).await;
    let (one, two) = (
        Upstream::answering(|_| 200).await,
        Upstream::answering(|_| 200).await,
    );
    let discovery = Discovery::default();
    let endpoints = [failing.addr(), one.addr(), two.addr()];
    discovery.set(
        "books:7002",
        destination(BOOKS, profile(|_| {}), &endpoints),
    );
    let mut config = config([Role::Outbound]);
    // The balancer asks one that fails so seldom that more in a row would take minutes.
    config.limits.failures = 1;
    let proxy = Running::discovering(config, &discovery);

    let target = format!("target_addr=\"{}\"", failing.addr());
    let labels = [&format!("authority=\"{BOOKS}\""), &*target];
    let ejected = |metrics: &Metrics| metrics.sum("endpoint_ejected", &labels);
    while ejected(&proxy.metrics().await) == 0.0 {
        of(&proxy).await;
    }
    assert_eq!(failing.seen().len(), 1);
    let mut failures = 0;
    for _ in 0..200 {
        failures += usize::from(of(&proxy).await != 200);
    }
    // Now and then a probe asks whether it has recovered.
    assert!(failures <= 2, "{failures}");
    assert_eq!(
        proxy
            .metrics()
            .await
            .sum("endpoint_ejected", &["target_addr"]),
        1.0
    );
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_left_out_and_costs_no_request() {
    let gone = TcpListener::bind(any()).await.unwrap();
    let refusing = gone.local_addr().unwrap();
    drop(gone);
    let up = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let endpoints = [refusing, up.addr()];
    discovery.set(
        "books:7002",
        destination(BOOKS, profile(|_| {}), &endpoints),
    );
    let mut config = config([Role::Outbound]);
    config.limits.failures = 1;
    let proxy = Running::discovering(config, &discovery);
    let target = format!("target_addr=\"{refusing}\"");
    while proxy.metrics().await.sum("endpoint_ejected", &[&target]) == 0.0 {
        assert_eq!(of(&proxy).await, 200);
    }
}

#[tokio::test]
async fn too_many_that_wait_for_an_endpoint_are_told_so_at_once() {
    let discovery = Discovery::default();
    discovery.set("books:7002", destination(BOOKS, profile(|_| {}), &[]));
    let mut config = config([Role::Outbound]);
    config.limits.waiting = 1;
    config.limits.fail_fast = Duration::from_secs(3_600);
    let proxy = Running::discovering(config, &discovery);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut client = Client::http1(proxy.addr()).await;
        waiting.spawn(async move { client.get("books:7002", "/").await.unwrap() });
    }
    // Whichever came second.
    let reply = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("mesh-reason"), Some("no-endpoint"));
    let error = reply.header("l5d-proxy-error").unwrap();
    assert!(
        error.contains("--max-waiting") || error.contains("waiting"),
        "{error}"
    );
    let failed = [r#"error="no-endpoint""#];
    assert_eq!(
        proxy.metrics().await.sum("route_response_total", &failed),
        1.0
    );

    // An endpoint that appears serves who still waits.
    let up = Upstream::answering(|_| 200).await;
    discovery.set(
        "books:7002",
        destination(BOOKS, profile(|_| {}), &[up.addr()]),
    );
    let reply = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_is_removed_finishes_what_it_has_and_its_successor_serves_at_once() {
    let (told, mut began) = tokio::sync::mpsc::unbounded_channel();
    let (go, wait) = tokio::sync::watch::channel(false);
    let old = Upstream::start(move |_, _| {
        let (told, mut wait) = (told.clone(), wait.clone());
        async move {
            told.send(()).unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            answer(200, "old")
        }
    })
    .await;
    let new = Upstream::start(|_, _| async { answer(200, "new") }).await;
    let discovery = Discovery::default();
    discovery.set(
        "books:7002",
        destination(BOOKS, profile(|_| {}), &[old.addr()]),
    );
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    for http2 in [false, true] {
        let mut client = match http2 {
            false => Client::http1(proxy.addr()).await,
            true => Client::http2(proxy.addr()).await,
        };
        discovery.set(
            "books:7002",
            destination(BOOKS, profile(|_| {}), &[old.addr()]),
        );
        go.send_replace(false);
        let sent = loop {
            let req = client.request("POST", "books:7002", "/", "");
            let mut sending =
                tokio::spawn(async move { (client.send(req).await.unwrap(), client) });
            tokio::select! {
                _ = began.recv() => break sending,
                // The change has yet to arrive.
                done = &mut sending => client = done.unwrap().1,
            }
        };
        discovery.set(
            "books:7002",
            destination(BOOKS, profile(|_| {}), &[new.addr()]),
        );
        let mut other = Client::http1(proxy.addr()).await;
        loop {
            let reply = tokio::select! {
                reply = other.get("books:7002", "/") => reply.unwrap().text(),
                // The change has yet to arrive: this one waits at the old endpoint, too.
                _ = began.recv() => {
                    other = Client::http1(proxy.addr()).await;
                    continue;
                }
            };
            assert_eq!(reply, "new");
            break;
        }
        go.send_replace(true);
        assert_eq!(sent.await.unwrap().0.text(), "old");
    }
}
