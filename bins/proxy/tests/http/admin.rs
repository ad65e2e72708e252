//! The admin port.

use crate::support::*;
use linkerd2_proxy_api::tap::{
    ObserveRequest, observe_request,
    tap_client::TapClient,
    tap_event::{Event, http::Event as Kind},
};
use mesh_profile::RetryBudgetSpec;
use mesh_proxy::Role;

#[tokio::test]
async fn it_says_how_the_proxy_is() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = Running::start(standalone(&[&upstream]));
    for (path, status, text) in [
        ("/live", 200, "live\n"),
        ("/ready", 200, "ready\n"),
        (
            "/env.json?NO_SUCH_VARIABLE",
            200,
            r#"{"NO_SUCH_VARIABLE":null}"#,
        ),
        ("/env.json?A=B", 400, "the query is a list of names\n"),
        ("/shutdown", 405, "method not allowed\n"),
        ("/nowhere", 404, "not found\n"),
    ] {
        let reply = get(proxy.admin(), path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (status, text),
            "{path}"
        );
    }
    let metrics = proxy.metrics().await;
    assert!(metrics.sum("process_start_time_seconds", &[r#"deployment="web""#]) > 1.6e9);
}

#[tokio::test]
async fn it_can_end_the_proxy() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut client = Client::http1(proxy.admin()).await;
    let post = client.request("POST", "admin", "/shutdown", "");
    assert_eq!(client.send(post).await.unwrap().text(), "shutdown\n");
    proxy.ended().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind(any()).unwrap();
    let mut config = config([Role::Outbound]);
    config.listeners[0].addr = taken.local_addr().unwrap();
    config.workers = 2;
    let error = mesh_proxy::Proxy::bind(config).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&taken.local_addr().unwrap().to_string())
    );
}

async fn taps(proxy: &Running) -> TapClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", proxy.admin()));
    TapClient::new(endpoint.unwrap().connect().await.unwrap())
}

/// The next request to the deployment `books`.
fn to_books() -> ObserveRequest {
    let label = observe_request::r#match::Label {
        key: "deployment".into(),
        value: "books".into(),
    };
    let to_books = observe_request::r#match::Match::DestinationLabel(label);
    ObserveRequest {
        limit: 1,
        r#match: Some(observe_request::Match {
            r#match: Some(to_books),
        }),
        extract: None,
    }
}

#[tokio::test]
async fn a_tap_says_why_an_error_was_not_retried() {
    let mut gone = Upstream::answering(|_| 200).await;
    gone.stop();
    while tokio::net::TcpStream::connect(gone.addr()).await.is_ok() {}
    let discovery = Discovery::default();
    let name = "books.shop.svc.cluster.local:7002";
    let mut spec = profile(|route| route.is_retryable = true);
    spec.retry_budget = Some(RetryBudgetSpec {
        retry_ratio: 0.1,
        min_retries_per_second: 0,
        ttl: "10s".into(),
    });
    discovery.set("books:7002", destination(name, spec, &[gone.addr()]));
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut events = taps(&proxy).await.observe(to_books()).await.unwrap();
    let mut client = Client::http1(proxy.addr()).await;
    assert_eq!(
        client.get("books:7002", "/books").await.unwrap().status,
        502
    );
    let mut last = None;
    while let Some(event) = events.get_mut().message().await.unwrap() {
        last = Some(event.route_meta.unwrap().labels);
    }
    let last = last.unwrap();
    assert_eq!(last["reason"], "connect-refused");
    assert_eq!(last["not_retried"], "no_budget");
}

#[tokio::test]
async fn tap_is_linkerds_service() {
    let upstream = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let name = "books.shop.svc.cluster.local:7002";
    discovery.set(
        "books:7002",
        destination(name, profile(|_| {}), &[upstream.addr()]),
    );
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);

    let mut taps = taps(&proxy).await;
    let refused = taps.observe(ObserveRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);

    let mut events = taps.observe(to_books()).await.unwrap().into_inner();
    let mut client = Client::http1(proxy.addr()).await;
    client.get("books:7002", "/books?q=secret").await.unwrap();

    let mut kinds = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        let labels = &event.destination_meta.unwrap().labels;
        assert_eq!(labels["namespace"], "shop");
        assert_eq!(event.route_meta.unwrap().labels["route"], "GET /books");
        assert!(event.source.is_some());
        let Some(Event::Http(http)) = event.event else {
            panic!("not HTTP");
        };
        kinds.push(match http.event.unwrap() {
            Kind::RequestInit(init) => format!("{} {}", init.authority, init.path),
            Kind::ResponseInit(init) => init.http_status.to_string(),
            Kind::ResponseEnd(end) => format!("{} bytes", end.response_bytes),
        });
    }
    assert_eq!(kinds, ["books:7002 /books", "200", "1 bytes"]);
}
