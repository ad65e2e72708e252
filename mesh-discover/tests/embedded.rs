//! The stack of a program without a sidecar, fed by a watch that the test writes.

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use mesh_discover::{
    Backend, Destination, Endpoint, Profile, Publisher, Watch,
    embedded::{Inbound, Metrics, Outbound},
};
use mesh_profile::{ProfileLayer, Route};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

type Body = Empty<&'static [u8]>;
type Client = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

const NAME: &str = "web.shop.svc.cluster.local:80";

fn endpoint(port: u16) -> Endpoint {
    let labels = [("deployment", "web"), ("namespace", "shop")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Endpoint::new(([127, 0, 0, 1], port).into()).with_labels(BTreeMap::from(labels))
}

fn web(leaves: &[(&str, u32, &[u16])]) -> Destination {
    let leaves = leaves.iter().map(|(name, weight, ports)| {
        let endpoints = ports.iter().map(|port| endpoint(*port));
        (Backend::new(*name, endpoints), *weight)
    });
    Destination::named("web", NAME).with_split(leaves)
}

fn profile(route: &str) -> Profile {
    let spec = serde_json::json!({
        "routes": [{"name": route, "condition": {"method": "GET"}}],
        "retryBudget": {"retryRatio": 0.5, "minRetriesPerSecond": 1, "ttl": "10s"},
    });
    serde_json::from_value(spec).unwrap()
}

/// A program's way to `web`, whose endpoints answer with their own port.
struct Program {
    says: Publisher<Destination>,
    metrics: Metrics,
    web: Outbound<Client>,
    connected: Arc<AtomicUsize>,
}

impl Program {
    fn new() -> Self {
        let (says, watch) = Watch::channel();
        let metrics = Metrics::new();
        let connected = Arc::new(AtomicUsize::new(0));
        let web = Outbound::follow(watch, &metrics, {
            let connected = connected.clone();
            move |endpoint: &Endpoint| {
                connected.fetch_add(1, Relaxed);
                let port = endpoint.addr.port().to_string();
                let answer = move |_: Request<Body>| {
                    let mut rsp = Response::new(Body::new());
                    rsp.headers_mut().insert("port", port.parse().unwrap());
                    async { Ok::<_, Infallible>(rsp) }
                };
                Client::new(service_fn(answer))
            }
        });
        Self {
            says,
            metrics,
            web,
            connected,
        }
    }

    async fn call(&self) -> Result<String, BoxError> {
        let mut stack = ServiceBuilder::new()
            .layer(ProfileLayer::watch(self.web.profile().clone()))
            .layer(self.web.stats().effective())
            .service(self.web.clone());
        let rsp = stack.ready().await?.call(Request::new(Body::new())).await?;
        Ok(rsp.headers()["port"].to_str()?.to_owned())
    }

    /// Publishes a destination and lets the follower apply it.
    async fn hear(&self, destination: Destination) {
        self.says.publish(destination);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_before_the_first_answer_waits_for_it() {
    let program = Program::new();
    let (answer, ()) = tokio::join!(program.call(), async {
        tokio::task::yield_now().await;
        program.hear(web(&[("web", 1, &[1])])).await;
    });
    assert_eq!(answer.unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_destination_without_endpoints_is_an_error_after_a_while() {
    let program = Program::new();
    program.hear(Destination::unknown("web")).await;
    let error = program.call().await.unwrap_err();
    assert_eq!(
        mesh_retry::Fault::of(&*error),
        Some(mesh_retry::Fault::NoEndpoint)
    );
}

#[tokio::test(start_paused = true)]
async fn leaves_weights_and_endpoints_change_under_a_running_stack() {
    let program = Program::new();
    program.hear(web(&[("a", 3, &[1]), ("b", 1, &[2])])).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(program.call().await.unwrap());
    }
    answers.sort();
    assert_eq!(answers, ["1", "1", "1", "2"]);

    program.hear(web(&[("a", 1, &[3]), ("b", 0, &[2])])).await;
    assert_eq!(program.call().await.unwrap(), "3");
    assert_eq!(program.connected.load(Relaxed), 3, "what stays is kept");

    // No leaf at all is no better answer than the last.
    program.hear(web(&[])).await;
    assert_eq!(program.call().await.unwrap(), "3");
}

#[tokio::test(start_paused = true)]
async fn a_changed_profile_holds_from_the_next_request_on() {
    let program = Program::new();
    let told = |route| web(&[("web", 1, &[1])]).with_profile(profile(route));
    for route in ["one", "two"] {
        program.hear(told(route)).await;
        program.call().await.unwrap();
    }
    assert_eq!(program.web.budget().limits().ratio(), 0.5);
    let text = program.metrics.render();
    for route in ["one", "two"] {
        let line = format!(
            "route_request_total{{direction=\"outbound\",dst=\"{NAME}\",rt_route=\"{route}\"}} 1"
        );
        assert!(text.contains(&line), "{text}");
    }
    let line = r#"dst_deployment="web",dst_namespace="shop"} 2"#;
    let mut lines = text.lines();
    assert!(
        lines.any(|it| it.starts_with("request_total{") && it.ends_with(line)),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn following_ends_with_the_last_clone_and_so_do_its_counters() {
    let program = Program::new();
    program.hear(web(&[("web", 1, &[1])])).await;
    program.call().await.unwrap();
    let Program {
        says, metrics, web, ..
    } = program;
    drop(web.clone());
    tokio::task::yield_now().await;
    assert!(!says.is_closed());
    drop(web);
    says.closed().await;
    // What was counted is shown once more, to the end.
    assert!(metrics.render().contains("request_total"));
    assert!(!metrics.render().contains("request_total"));
}

#[tokio::test]
async fn what_a_program_serves_is_counted_by_its_own_routes() {
    let (says, watch) = Watch::channel();
    let metrics = Metrics::new();
    let inbound = Inbound::follow(watch, &metrics);
    let mut service =
        ServiceBuilder::new()
            .layer(inbound)
            .service(service_fn(async |req: Request<Body>| {
                let known = Route::of(&req).is_some_and(|route| route.name() == "one");
                let mut rsp = Response::new(Body::new());
                if known {
                    *rsp.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                }
                Ok::<_, Infallible>(rsp)
            }));
    let mut call = async || {
        let rsp = service
            .ready()
            .await
            .unwrap()
            .call(Request::new(Body::new()));
        drop(rsp.await.unwrap());
    };
    call().await;
    says.publish(web(&[]).with_profile(profile("one")));
    tokio::task::yield_now().await;
    call().await;

    let text = metrics.render();
    let find = |start: &str, part: &str| {
        let mut lines = text.lines();
        let found = lines.find(|line| line.starts_with(start) && line.contains(part));
        found.unwrap_or_else(|| panic!("{start} {part}: {text}"))
    };
    let failed = find("route_response_total{", "rt_route=\"one\"");
    assert!(failed.contains("direction=\"inbound\"") && failed.contains("\"failure\""));
    assert!(find("request_total{", "inbound").ends_with(" 2"));
}
