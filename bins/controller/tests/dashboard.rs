//! The dashboard's pages, asked of a controller whose counters are written by hand.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mesh_control::stats::{Reading, Sidecar};
use mesh_controller::{
    Config, Controller, StateDir,
    http::{Access, App, router},
};
use std::{fmt::Write as _, fs, path::Path, time::Duration};
use tempfile::TempDir;
use tower::ServiceExt;

const PAGES: [&str; 8] = [
    "/",
    "/namespaces/shop/deployments/web",
    "/routes",
    "/explain",
    "/explain?method=GET&url=http%3A%2F%2Fweb%3A8080%2Fa",
    "/check",
    "/tap",
    "/tap?resource=deploy/web&start=true",
];

struct Mesh {
    app: App,
    _controller: Controller,
    _root: TempDir,
}

impl Mesh {
    async fn new(workloads: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let workloads = workloads.iter().enumerate().map(|(number, name)| {
            let replica = serde_json::json!({"pod": format!("{name}-0"), "ready": true,
                "inbound": format!("127.0.0.1:{}", 1 + number)});
            serde_json::json!({"name": name, "namespace": "shop", "service_port": 8080,
                "replicas": [replica]})
        });
        let all = serde_json::json!({"generation": 1, "namespace": "shop",
            "workloads": workloads.collect::<Vec<_>>()});
        write(&root.path().join("run/workloads.json"), &all.to_string());
        let anywhere = ([127, 0, 0, 1], 0).into();
        let config = Config {
            state: StateDir::new(root.path()),
            grpc: anywhere,
            http: anywhere,
            cluster_domain: "cluster.local".into(),
            prometheus: None,
        };
        let controller = Controller::open(config).await.unwrap();
        Self {
            app: controller.app().clone(),
            _controller: controller,
            _root: root,
        }
    }

    /// Takes in what the sidecar of `deployment` counted in ten seconds.
    fn count(&self, deployment: &str, series: &str) {
        let sidecar = Sidecar {
            namespace: "shop".into(),
            deployment: deployment.into(),
            pod: format!("{deployment}-0").into(),
        };
        let now = tokio::time::Instant::now().into_std();
        for (age, factor) in [(10, 0), (0, 1)] {
            let mut text = String::from("process_start_time_seconds 1700000000\n");
            for line in series.lines() {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse::<u64>().unwrap() * factor;
                writeln!(text, "{name} {value}").unwrap();
            }
            let reading = Reading {
                text: &text,
                at: now - Duration::from_secs(age),
                calendar: Duration::from_secs(1_700_100_000 - age),
            };
            self.app.store.lock().unwrap().ingest(&sidecar, &reading);
        }
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        let router = router(self.app.clone(), Access::ReadOnly);
        router.oneshot(request).await.unwrap()
    }

    async fn page(&self, path: &str) -> (StatusCode, String) {
        let response = self.send(get(path)).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn get(path: &str) -> Request<Body> {
    let request = Request::get(path).header("host", "localhost:8085");
    request.body(Body::empty()).unwrap()
}

const WEB: &str = r#"response_total{direction="inbound",classification="success"} 50
response_total{direction="inbound",classification="failure"} 50
response_total{direction="outbound",dst_namespace="shop",dst_deployment="books",dst_service="books",classification="success"} 40
route_response_total{direction="inbound",dst="web.shop.svc.cluster.local:8080",rt_route="GET /",classification="failure"} 50
tcp_open_connections{direction="inbound",peer="src"} 7"#;

#[tokio::test]
async fn pages_show_the_numbers_what_fails_first() {
    let mesh = Mesh::new(&["books", "web"]).await;
    mesh.count("web", WEB);
    mesh.count(
        "books",
        "response_total{direction=\"inbound\",classification=\"success\"} 40",
    );
    let (status, text) = mesh.page("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("50.00%") && text.contains("10.0"), "{text}");
    let place = |name: &str| {
        let link = format!("<a href=\"/namespaces/shop/deployments/{name}\">{name}");
        text.find(&link).unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert!(place("web") < place("books"));
    let (_, text) = mesh.page("/?sort=name&q=boo").await;
    assert!(!text.contains("deployments/web\">web</a>"), "{text}");

    let (_, text) = mesh.page("/namespaces/shop/deployments/web").await;
    for part in ["GET /", "books", "100.00%", "mesh -n shop tap deploy/web"] {
        assert!(text.contains(part) || part == "{part}: {text}");
    }
    let (_, text) = mesh.page("/explain?method=get&url=web:8080/a").await;
    assert!(text.contains("web.shop.svc.cluster.local:8080"), "{text}");
    assert!(text.contains("there is no profile"), "{text}");
    let (_, text) = mesh.page("/check").await;
    assert!(text.contains("every replica has a sidecar"), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let mesh = Mesh::new(&[]).await;
    for (path, expected, part) in [
        ("/", 200, "no workloads yet"),
        ("/?q=nothing", 200, "No workload is called so"),
        ("/namespaces/shop/deployments/none", 404, "not found"),
        ("/explain?url=https://a", 400, "another scheme"),
        ("/routes?namespace=shop", 200, "There is no such service"),
    ] {
        let (status, text) = mesh.page(path).await;
        assert_eq!(status.as_u16(), expected, "{path}: {text}");
        assert!(text.contains(part), "{path}: {text}");
    }
}

#[tokio::test]
async fn nothing_inline_runs_and_nothing_comes_from_elsewhere() {
    let mesh = Mesh::new(&["web"]).await;
    mesh.count("web", WEB);
    for path in PAGES {
        let response = mesh.send(get(path)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let (_, text) = mesh.page(path).await;
        assert!(
            !text.contains(" style=") && !text.contains("<style"),
            "{path}"
        );
        for script in text.split("<script").skip(1) {
            assert!(
                script.starts_with(" defer src=\"/assets/"),
                "{path}: {script}"
            );
        }
        for source in text.split(" src=\"").chain(text.split(" href=\"")).skip(1) {
            let own = source.starts_with('/') || source.starts_with("#main");
            assert!(own || source.starts_with("<!DOCTYPE"), "{path}: {source}");
        }
    }
}

#[tokio::test]
async fn names_from_traffic_are_text() {
    const NAME: &str = "\\\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mesh = Mesh::new(&["web"]).await;
    mesh.count(
        "web",
        &format!(
            "response_total{{direction=\"outbound\",dst_namespace=\"{NAME}\",dst_deployment=\"{NAME}\",dst_service=\"{NAME}\",classification=\"failure\"}} 5
route_response_total{{direction=\"inbound\",dst=\"web.shop.svc.cluster.local:8080\",rt_route=\"{NAME}\\n\",classification=\"failure\"}} 5"
        ),
    );
    let hostile = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cimg%20src%3Dx%3E";
    let mut paths: Vec<String> = PAGES.map(String::from).into();
    paths.extend([
        format!("/?q={hostile}&namespace={hostile}"),
        format!("/namespaces/{hostile}/deployments/{hostile}"),
        format!("/routes?namespace={hostile}&service={hostile}"),
        format!("/tap?resource={hostile}&to={hostile}&route={hostile}&start=true"),
        format!("/explain?url={hostile}&method={hostile}&from={hostile}"),
    ]);
    for path in paths {
        let (_, text) = mesh.page(&path).await;
        assert!(
            !text.contains("<script>") && !text.contains("<img"),
            "{path}: {text}"
        );
    }
    let (_, text) = mesh.page("/namespaces/shop/deployments/web").await;
    assert!(text.contains("&lt;script&gt;alert(1)"), "{text}");
}

#[tokio::test]
async fn other_sites_may_neither_look_nor_change() {
    let mesh = Mesh::new(&["web"]).await;
    let status = async |method: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        mesh.send(request.body(Body::empty()).unwrap())
            .await
            .status()
            .as_u16()
    };
    let host = ("host", "127.0.0.1:8085");
    assert_eq!(status("GET", &[host]).await, 200);
    assert_eq!(status("GET", &[("host", "evil.example")]).await, 403);
    assert_eq!(
        status("GET", &[host, ("origin", "http://evil.example")]).await,
        403
    );
    assert_eq!(status("POST", &[host]).await, 405);
}

#[tokio::test]
async fn an_open_page_is_told_what_changes() {
    let mesh = Mesh::new(&["web"]).await;
    mesh.count("web", WEB);
    let mut request = get("/?sort=rps");
    let headers = request.headers_mut();
    headers.insert("accept", "text/event-stream".parse().unwrap());
    let response = mesh.send(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut text = String::new();
    tokio::time::pause();
    while !text.contains("event: page") || !text.contains("event: same\ndata: -\n") {
        let frame = body.frame().await.unwrap().unwrap();
        let data = frame.into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    assert!(text.contains("50.00%"), "{text}");
    assert!(!text.contains("<html"), "{text}");
}

/// The target is 200 ms for 200 workloads and 1,000 routes; as tests are built, without
/// optimization, the best of a few runs stays below it.
#[tokio::test]
async fn a_large_mesh_is_rendered_in_time() {
    let names: Vec<_> = (0..200)
        .map(|number| format!("workload-{number}"))
        .collect();
    let mesh = Mesh::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (number, name) in names.iter().enumerate() {
        let called = &names[(number + 1) % names.len()];
        let mut series = format!(
            "response_total{{direction=\"inbound\",classification=\"success\"}} 50
response_total{{direction=\"outbound\",dst_namespace=\"shop\",dst_deployment=\"{called}\",dst_service=\"{called}\",classification=\"success\"}} 40\n"
        );
        for route in 0..5 {
            writeln!(series, "route_response_total{{direction=\"inbound\",dst=\"{name}.shop.svc.cluster.local:8080\",rt_route=\"GET /{route}\",classification=\"success\"}} 10").unwrap();
        }
        mesh.count(name, &series);
    }
    for path in ["/", "/routes"] {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = tokio::time::Instant::now().into_std();
            let (status, text) = mesh.page(path).await;
            best = best.min(started.elapsed());
            assert_eq!(status, StatusCode::OK);
            assert!(text.len() < 2_000_000, "{path}: {} bytes", text.len());
        }
        println!("{path}: {best:?}");
        assert!(best < Duration::from_millis(200), "{path}: {best:?}");
    }
}
