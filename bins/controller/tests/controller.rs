//! A whole controller over a state folder, with real sockets, asked as sidecars and commands do.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mesh_controller::{Config, Controller, StateDir};
use mesh_discover::{Control, ControlConfig, Destination, Watch};
use mesh_local::atomic;
use std::{fs, net::SocketAddr, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::oneshot,
    task::JoinHandle,
};

struct Mesh {
    root: TempDir,
    grpc: SocketAddr,
    http: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>)>,
}

fn config(root: &Path, grpc: SocketAddr) -> Config {
    Config {
        state: StateDir::new(root),
        grpc,
        http: ([127, 0, 0, 1], 0).into(),
        cluster_domain: "cluster.local".into(),
        prometheus: None,
    }
}

impl Mesh {
    /// A mesh whose only workload is `web`, port 8080, with a replica on each of `ports`.
    async fn new(ports: &[u16]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let anywhere: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut mesh = Self {
            root,
            grpc: anywhere,
            http: anywhere,
            running: None,
        };
        mesh.replicas(ports);
        mesh.start().await;
        mesh
    }

    async fn start(&mut self) {
        let controller = Controller::open(config(self.root.path(), self.grpc)).await;
        let controller = controller.unwrap();
        (self.grpc, self.http) = (controller.grpc(), controller.http());
        let (stop, stopped) = oneshot::channel();
        let serve = controller.serve(async { drop(stopped.await) });
        self.running = Some((stop, tokio::spawn(serve)));
    }

    async fn stop(&mut self) {
        let (stop, ended) = self.running.take().unwrap();
        stop.send(()).unwrap();
        ended.await.unwrap().unwrap();
    }

    fn replicas(&self, ports: &[u16]) {
        let replicas = ports.iter().map(|port| {
            serde_json::json!({"pod": format!("web-{port}"), "ready": true,
                "inbound": format!("127.0.0.1:{port}")})
        });
        let workload = serde_json::json!({"name": "web", "namespace": "shop",
            "service_port": 8080, "replicas": replicas.collect::<Vec<_>>()});
        let all = serde_json::json!({"generation": 1, "namespace": "shop",
            "workloads": [workload]});
        let path = self.root.path().join("run/workloads.json");
        atomic::write(&path, all.to_string().as_bytes()).unwrap();
    }

    fn watch(&self, authority: &str, namespace: &str) -> Watch<Destination> {
        let config = ControlConfig::new(&self.grpc.to_string()).unwrap();
        let token = serde_json::json!({ "ns": namespace }).to_string();
        Control::new(config.with_context_token(token)).destination(authority)
    }

    /// As the owner of the folder.
    async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        let socket = self.root.path().join("controller.sock");
        let stream = UnixStream::connect(socket).await.unwrap();
        send(stream, method, path, body).await
    }

    /// As anybody.
    async fn ask_tcp(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.http).await.unwrap();
        send(stream, method, path, body).await
    }

    async fn put(&self, manifest: &str) -> (StatusCode, String) {
        self.ask(Method::PUT, "/api/v1/resources", manifest).await
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: Method,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let response = send.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn manifest(service: &str, route: &str) -> String {
    format!(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  name: \
         {service}.shop.svc.cluster.local\nspec:\n  routes:\n  - name: {route}\n    condition: \
         {{method: GET, pathRegex: /a}}\n    isRetryable: true\n    timeout: 25ms\n"
    )
}

const WEB: &str = "/api/v1/resources/sp/shop/web.shop.svc.cluster.local";

fn ports(destination: &Destination) -> Vec<u16> {
    let backends = destination.backends().iter();
    let endpoints = backends.flat_map(|backend| backend.endpoints().iter());
    endpoints.map(|endpoint| endpoint.addr.port()).collect()
}

fn routes(destination: &Destination) -> Vec<&str> {
    destination.routes().map(|route| route.name()).collect()
}

#[tokio::test]
async fn what_is_applied_reaches_whoever_watches() {
    let mesh = Mesh::new(&[1, 2]).await;
    let mut watch = mesh.watch("web:8080", "shop");
    let first = watch.ready().await.unwrap();
    assert_eq!(
        first.name().map(|name| &**name),
        Some("web.shop.svc.cluster.local:8080")
    );
    assert_eq!(ports(&first), [1, 2]);
    assert_eq!(first.backends()[0].endpoints()[0].labels["pod"], "web-1");
    assert!(routes(&first).is_empty());

    let (status, body) = mesh.put(&manifest("web", "one")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains(r#""result":"created""#), "{body}");
    let second = watch.changed().await.unwrap();
    assert_eq!(routes(&second), ["one"]);
    let timeouts = second.routes().next().unwrap().timeouts();
    assert_eq!(timeouts.head, Some(Duration::from_millis(25)));

    mesh.replicas(&[2, 3]);
    // In one step or two; never without an endpoint.
    loop {
        let now = ports(&watch.changed().await.unwrap());
        assert!(!now.is_empty());
        if now == [2, 3] {
            break;
        }
    }

    let (status, _) = mesh.ask(Method::DELETE, WEB, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(routes(&watch.changed().await.unwrap()).is_empty());
    let (status, _) = mesh.ask(Method::DELETE, WEB, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_restart_is_not_noticed_but_for_what_has_changed() {
    let mut mesh = Mesh::new(&[1]).await;
    mesh.put(&manifest("web", "one")).await;
    let mut watch = mesh.watch("web:8080", "shop");
    assert_eq!(routes(&watch.ready().await.unwrap()), ["one"]);

    mesh.stop().await;
    assert!(!mesh.root.path().join("run/controller.json").exists());
    mesh.replicas(&[1, 2]);
    mesh.start().await;
    // The first news is the new replica: neither endpoints nor routes were gone in between.
    let next = watch.changed().await.unwrap();
    assert_eq!(ports(&next), [1, 2]);
    assert_eq!(routes(&next), ["one"]);
    assert!(mesh.root.path().join("run/controller.json").exists());
}

#[tokio::test]
async fn names_outside_the_mesh_have_no_name_in_it() {
    let mesh = Mesh::new(&[1]).await;
    for stranger in ["example.com:443", "web", "web.other:8080", "127.0.0.1:1"] {
        let destination = mesh.watch(stranger, "shop").ready().await.unwrap();
        assert!(!destination.is_known(), "{stranger}");
        assert!(destination.backends().is_empty());
    }
    let full = mesh.watch("web.shop.svc.cluster.local.:8080", "other");
    assert!(full.clone().ready().await.unwrap().is_known());
}

#[tokio::test]
async fn one_bad_object_refuses_the_whole_text() {
    let mesh = Mesh::new(&[1]).await;
    let text = format!(
        "{}---\n{}",
        manifest("web", "one"),
        manifest("books", "two").replace("25ms", "25")
    );
    let (status, body) = mesh.put(&text).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    let error = error["error"].as_str().unwrap();
    assert!(error.contains("manifest:21:14:"), "{error}");
    assert!(error.contains(r#"route "two""#), "{error}");
    let (_, list) = mesh.ask(Method::GET, "/api/v1/resources/sp", "").await;
    assert_eq!(list, r#"{"items":[],"rejected":[]}"#);
    assert!(
        fs::read_dir(mesh.root.path().join("resources"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[tokio::test]
async fn anybody_may_look_and_only_the_owner_may_change() {
    let mesh = Mesh::new(&[1]).await;
    let text = manifest("web", "one");
    let (status, _) = mesh.ask_tcp(Method::PUT, "/api/v1/resources", &text).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = mesh.ask_tcp(Method::GET, WEB, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    mesh.put(&text).await;
    let (status, body) = mesh.ask_tcp(Method::GET, WEB, "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains(r#""isRetryable":true"#), "{body}");

    let (status, body) = mesh
        .ask_tcp(Method::GET, "/api/v1/destination?authority=web:8080", "")
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains(r#""addr":"127.0.0.1:1""#), "{body}");
}

#[tokio::test]
async fn errors_are_json_with_the_right_status() {
    let mesh = Mesh::new(&[]).await;
    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::POST, "/api/v1/version", 405),
        (Method::GET, "/api/v1/resources/ingress", 404),
        (Method::GET, "/api/v1/resources/sp/shop/..%2F..%2Fx", 400),
        (Method::GET, "/api/v1/resources/sp/%FF", 400),
        (Method::GET, "/api/v1/destination", 400),
        (Method::PUT, "/api/v1/resources", 422),
        (Method::PUT, "/api/v1/resources?namespace=..", 400),
    ] {
        let (got, body) = mesh.ask(method.clone(), path, "").await;
        assert_eq!(got.as_u16(), status, "{method} {path}: {body}");
        let error: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(error["error"].is_string(), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_folder_has_one_controller() {
    let mut mesh = Mesh::new(&[]).await;
    let anywhere = ([127, 0, 0, 1], 0).into();
    let second = Controller::open(config(mesh.root.path(), anywhere)).await;
    let error = second.unwrap_err().to_string();
    assert!(error.starts_with("another controller"), "{error}");
    // The first one has lost nothing by it.
    let (status, _) = mesh.ask(Method::GET, "/api/v1/check", "").await;
    assert_eq!(status, StatusCode::OK);
    mesh.stop().await;
    mesh.start().await;
}

#[tokio::test]
async fn a_split_is_in_force_with_its_conditions_and_its_deletion_restores_the_apex() {
    let mesh = Mesh::new(&[1]).await;
    let split = |weights: [&str; 2]| {
        format!(
            "apiVersion: split.smi-spec.io/v1alpha1\nkind: TrafficSplit\nmetadata: {{name: \
             canary}}\nspec:\n  service: web\n  backends:\n  - {{service: web, weight: {}}}\n  - \
             {{service: web-v2, weight: {}}}\n",
            weights[0], weights[1]
        )
    };
    let shares = |destination: &Destination| {
        let [rule] = destination.rules() else {
            panic!("one rule, not {:?}", destination.rules());
        };
        let shares = rule.shares().iter();
        let shares = shares.map(|it| {
            (
                it.backend().replace(".shop.svc.cluster.local", ""),
                it.weight(),
            )
        });
        shares.collect::<Vec<_>>()
    };
    let mut watch = mesh.watch("web:8080", "shop");
    assert_eq!(
        shares(&watch.ready().await.unwrap()),
        [("web:8080".into(), 1)]
    );

    // The other backend is not there yet: that is said, and nothing changes.
    let (status, body) = mesh.put(&split(["900m", "100m"])).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("there is no service web-v2"), "{body}");
    let canary = "/api/v1/resources/ts/shop/canary";
    let get = async || mesh.ask(Method::GET, canary, "").await.1;
    let text = get().await;
    assert!(
        text.contains(r#""reason":"BackendNotFound","status":"False""#),
        "{text}"
    );
    assert!(text.contains(r#""creationTimestamp":"20"#), "{text}");

    // A workload that comes changes answer and condition.
    let workload = |name: &str, port: u16| {
        serde_json::json!({"name": name, "namespace": "shop", "service_port": 8080,
            "replicas": [{"pod": format!("{name}-0"), "ready": true,
                "inbound": format!("127.0.0.1:{port}")}]})
    };
    let all = serde_json::json!({"generation": 2, "namespace": "shop",
        "workloads": [workload("web", 1), workload("web-v2", 2)]});
    let path = mesh.root.path().join("run/workloads.json");
    atomic::write(&path, all.to_string().as_bytes()).unwrap();
    let both = loop {
        let destination = watch.changed().await.unwrap();
        if shares(&destination).len() == 2 {
            break destination;
        }
    };
    assert_eq!(
        shares(&both),
        [("web:8080".into(), 9000), ("web-v2:8080".into(), 1000)]
    );
    assert_eq!(ports(&both), [1, 2]);
    while !get()
        .await
        .contains(r#""reason":"ResolvedRefs","status":"True""#)
    {
        tokio::task::yield_now().await;
    }

    // What cannot be is refused, and the last good split stays.
    for (weights, reason) in [
        (["0", "0"], "no backend has a weight above 0"),
        (["-1", "1"], "invalid weight"),
    ] {
        let (status, body) = mesh.put(&split(weights)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(body.contains(reason), "{body}");
    }
    let file = mesh
        .root
        .path()
        .join("resources/shop/trafficsplits/canary.yaml");
    fs::write(&file, split(["0", "0"])).unwrap();
    while !get().await.contains("no backend has a weight above 0") {
        tokio::task::yield_now().await;
    }
    let current = watch.current().unwrap();
    assert_eq!(shares(&current), shares(&both));
    let explained = mesh
        .ask(Method::GET, "/api/v1/destination?authority=web:8080", "")
        .await
        .1;
    assert!(
        explained.contains(r#""split":{"namespace":"shop","name":"canary"}"#),
        "{explained}"
    );

    // A second split of the same service has to wait for the first to go.
    let second = split(["1", "0"]).replace("canary", "another");
    let (_, body) = mesh.put(&second).await;
    assert!(
        body.contains("split by the older TrafficSplit canary"),
        "{body}"
    );
    let (status, _) = mesh.ask(Method::DELETE, canary, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let one = shares(&watch.changed().await.unwrap());
    assert_eq!(
        one,
        [("web:8080".into(), 10_000), ("web-v2:8080".into(), 0)]
    );
    mesh.ask(Method::DELETE, "/api/v1/resources/ts/shop/another", "")
        .await;
    assert_eq!(
        shares(&watch.changed().await.unwrap()),
        [("web:8080".into(), 1)]
    );
}

#[tokio::test]
async fn faults_reach_the_clients_that_they_are_for_and_survive_the_controller() {
    let mut mesh = Mesh::new(&[1]).await;
    let faults_of = |pod: &str| {
        let config = ControlConfig::new(&mesh.grpc.to_string()).unwrap();
        let token = serde_json::json!({"ns": "shop", "pod": pod}).to_string();
        Control::new(config.with_context_token(token)).faults()
    };
    let (mut web, mut other) = (faults_of("web-1"), faults_of("other-0"));
    assert_eq!(*web.ready().await.unwrap(), []);
    assert_eq!(*other.ready().await.unwrap(), []);

    let new = serde_json::json!({"service": "web", "percent": 12.5, "for_ms": 60_000,
        "kind": {"delay": {"min_ms": 1, "max_ms": 2}}});
    let post = |body: String| {
        let socket = mesh.root.path().join("controller.sock");
        async move {
            let stream = UnixStream::connect(socket).await.unwrap();
            let request = Request::post("/api/v1/faults")
                .header("host", "localhost")
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let response = send.send_request(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }
    };
    let (status, body) = post(new.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    for watch in [&mut web, &mut other] {
        let faults = watch.changed().await.unwrap();
        let [fault] = &faults[..] else {
            panic!("one fault, not {faults:?}");
        };
        assert_eq!(
            (&*fault.service, fault.share),
            ("web.shop.svc.cluster.local", 125_000)
        );
        assert_eq!(fault.route, None);
    }

    // One for the pods of a workload alone.
    let mut of_web = new.clone();
    of_web["from"] = "deploy/web".into();
    let (status, body) = post(of_web.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(web.changed().await.unwrap().len(), 2);
    for (field, value) in [
        ("service", serde_json::json!("none")),
        ("route", serde_json::json!("GET /none")),
        ("from", serde_json::json!("deploy/none")),
        ("from", serde_json::json!("svc/web")),
        ("percent", serde_json::json!(0)),
        ("for_ms", serde_json::json!(0)),
        ("kind", serde_json::json!({"status": 200})),
    ] {
        let mut wrong = new.clone();
        wrong[field] = value;
        let (status, body) = post(wrong.to_string()).await;
        assert!(status.is_client_error(), "{field}: {status} {body}");
    }

    mesh.stop().await;
    mesh.start().await;
    // Sidecars keep what they have; a new one is told the same.
    assert_eq!(web.current().unwrap().len(), 2);
    let (_, list) = mesh.ask_tcp(Method::GET, "/api/v1/faults", "").await;
    assert_eq!(list.matches(r#""percent":12.5"#).count(), 2, "{list}");
    let (status, _) = mesh.ask_tcp(Method::DELETE, "/api/v1/faults/1", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = mesh.ask(Method::DELETE, "/api/v1/faults/1", "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = mesh.ask(Method::DELETE, "/api/v1/faults/1", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // It was never told of the second, which is for others.
    loop {
        let faults = other.changed().await.unwrap();
        assert!(faults.iter().all(|fault| fault.id == 1), "{faults:?}");
        if faults.is_empty() {
            break;
        }
    }
}
