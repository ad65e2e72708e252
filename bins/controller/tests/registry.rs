//! Programs that register themselves, with a whole controller and over real sockets; and those
//! that only pretend to.

use http::Request;
use http_body_util::BodyExt as _;
use mesh_controller::{
    Config, Controller, StateDir,
    http::{self as api, Access, App},
};
use mesh_discover::{
    Control, ControlConfig, Workload,
    wire::mesh_v1::{self, RegisterRequest, RegisterResponse, Replica, Service, State},
};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Endpoint};
use tower::ServiceExt as _;

/// A controller of a mesh that runs `web` in the namespace `shop`.
struct Mesh {
    root: TempDir,
    grpc: SocketAddr,
    app: App,
    running: Option<(oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>)>,
}

async fn start(root: &TempDir, grpc: SocketAddr) -> (Controller, SocketAddr) {
    let controller = Controller::open(Config {
        state: StateDir::new(root.path()),
        grpc,
        http: ([127, 0, 0, 1], 0).into(),
        cluster_domain: "cluster.local".into(),
        prometheus: None,
    });
    let controller = controller.await.unwrap();
    let grpc = controller.grpc();
    (controller, grpc)
}

impl Mesh {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let workloads = r#"{"generation": 1, "namespace": "shop", "workloads": [
            {"name": "web", "namespace": "shop", "service_port": 80, "replicas": []}]}"#;
        let path = root.path().join("run/workloads.json");
        mesh_local::atomic::write(&path, workloads.as_bytes()).unwrap();
        let (controller, grpc) = start(&root, ([127, 0, 0, 1], 0).into()).await;
        let mut mesh = Self {
            root,
            grpc,
            app: controller.app().clone(),
            running: None,
        };
        mesh.serve(controller);
        mesh
    }

    fn serve(&mut self, controller: Controller) {
        self.app = controller.app().clone();
        let (stop, stopped) = oneshot::channel();
        let serve = controller.serve(async { drop(stopped.await) });
        self.running = Some((stop, tokio::spawn(serve)));
    }

    async fn restart(&mut self) {
        let (stop, ended) = self.running.take().unwrap();
        stop.send(()).unwrap();
        ended.await.unwrap().unwrap();
        let (controller, _) = start(&self.root, self.grpc).await;
        self.serve(controller);
    }

    fn control(&self) -> Control {
        Control::new(ControlConfig::new(&self.grpc.to_string()).unwrap())
    }

    async fn ask(&self, path: &str) -> String {
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(axum::body::Body::empty()).unwrap();
        let router = api::router(self.app.clone(), Access::ReadOnly);
        let response = router.oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn pods(&self) -> Vec<String> {
        let snapshot = self.app.index.snapshot();
        let pods = snapshot.pods.iter();
        pods.map(|pod| pod.name.to_string()).collect()
    }

    /// Waits until these are the replicas.
    async fn until_pods_are(&self, expected: &[&str]) {
        let mut changes = self.app.index.changes();
        while self.pods() != expected {
            assert!(changes.changed().await);
        }
    }

    async fn say(&self, first: RegisterRequest) -> Result<Stream, Status> {
        say(self.grpc, first).await
    }
}

/// A program with connections of its own, which dies without a word when it is killed.
struct Program(Runtime);

impl Program {
    fn new() -> Self {
        let mut runtime = runtime::Builder::new_multi_thread();
        Self(runtime.worker_threads(1).enable_all().build().unwrap())
    }

    async fn register(&self, mesh: &Mesh, replica: Replica) {
        let grpc = mesh.grpc;
        let registered = self.0.spawn(async move {
            let mut stream = say(grpc, this_is(replica)).await.unwrap();
            stream.said().await.unwrap();
            std::mem::forget(stream);
        });
        registered.await.unwrap();
    }

    async fn kill(self) {
        tokio::task::spawn_blocking(|| drop(self.0)).await.unwrap();
    }
}

/// Opens a stream by hand and says `first` on it.
async fn say(grpc: SocketAddr, first: RegisterRequest) -> Result<Stream, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{grpc}")).unwrap();
    let (say, said) = mpsc::channel(4);
    say.send(first).await.unwrap();
    let response = mesh_v1::register(endpoint.connect_lazy(), ReceiverStream::new(said)).await?;
    let answers = response.into_inner();
    Ok(Stream { say, answers })
}

struct Stream {
    say: mpsc::Sender<RegisterRequest>,
    answers: Streaming<RegisterResponse>,
}

impl Stream {
    async fn said(&mut self) -> Result<String, Status> {
        let answer = self.answers.message().await?;
        Ok(answer.map_or("the end".into(), |answer| answer.pod))
    }
}

fn this_is(replica: Replica) -> RegisterRequest {
    RegisterRequest {
        replica: Some(replica),
        metrics: None,
    }
}

fn front(instance: u64) -> Replica {
    Replica {
        workload: "front".into(),
        instance,
        service: Some(Service {
            port: 8080,
            addr: "127.0.0.1:4000".into(),
            protocol: 0,
        }),
        ..Replica::default()
    }
}

const COUNTED: &str = r#"response_total{direction="inbound",classification="success"} 30
response_total{direction="inbound",classification="failure"} 10
request_total{direction="outbound",dst_namespace="shop",dst_deployment="web",tls="no_identity",no_tls_reason="loopback"} 30
"#;

#[tokio::test]
async fn a_registered_program_is_in_every_table_and_gone_when_it_ends() {
    let mesh = Mesh::new().await;
    let control = mesh.control();
    let mut callers = control.destination("front:8080");
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let started = started.unwrap().as_secs_f64();
    let workload = Workload::new("front")
        .serving(8080, ([127, 0, 0, 1], 4000).into())
        .with_metrics(move || format!("{COUNTED}process_start_time_seconds {started}\n"));
    let registration = control.register(workload);
    let registered = registration.registered().await.unwrap();
    assert_eq!(
        (&*registered.namespace, &*registered.pod),
        ("shop", "front-0")
    );

    // Others find it by its name.
    let found = callers.ready().await.unwrap();
    let found = match found.backends().is_empty() {
        true => callers.changed().await.unwrap(),
        false => found,
    };
    let endpoint = &found.backends()[0].endpoints()[0];
    assert_eq!(endpoint.addr.port(), 4000);
    assert_eq!(endpoint.labels["deployment"], "front");

    // What it counted is in the tables.
    let row = loop {
        let tables = mesh.ask("/api/v1/stat?resources=deployment").await;
        let tables: serde_json::Value = serde_json::from_str(&tables).unwrap();
        let row = &tables[0]["rows"][0];
        if row["success"].is_number() {
            break row.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (&row["name"], &row["meshed"]),
        (&"front".into(), &"1/1".into())
    );
    assert_eq!(row["success"], 0.75);
    let edges = mesh.ask("/api/v1/edges?resource=deployment").await;
    assert!(edges.contains(r#""src":"front""#), "{edges}");
    let check = mesh.ask("/api/v1/check").await;
    assert!(!check.contains(r#""result":"error""#), "{check}");

    registration.end().await;
    assert!(mesh.pods().is_empty());
    let stat = mesh.ask("/api/v1/stat?resources=deployment").await;
    assert!(!stat.contains("front"), "{stat}");
    while !callers
        .changed()
        .await
        .unwrap()
        .backends()
        .iter()
        .all(|backend| backend.endpoints().is_empty())
    {}
}

#[tokio::test]
async fn a_replica_is_as_ready_as_it_says() {
    let mesh = Mesh::new().await;
    let mut stream = mesh.say(this_is(front(1))).await.unwrap();
    assert_eq!(stream.said().await.unwrap(), "front-0");
    let ready = || {
        let index = &mesh.app.index;
        index.endpoints("front:8080", "shop").list.len()
    };
    assert_eq!(ready(), 1);
    for (state, expected) in [(State::Unready, 0), (State::Ready, 1), (State::Draining, 0)] {
        let mut replica = front(1);
        replica.state = state.into();
        stream.say.send(this_is(replica)).await.unwrap();
        assert_eq!(stream.said().await.unwrap(), "front-0");
        assert_eq!(ready(), expected, "{state:?}");
    }
    assert!(mesh.app.index.snapshot().pods[0].conditions.terminating);
}

#[tokio::test]
async fn a_program_that_dies_is_missed_for_a_while_and_one_that_leaves_is_not() {
    let mesh = Mesh::new().await;
    let (dying, back) = (Program::new(), Program::new());
    dying.register(&mesh, front(1)).await;
    let leaving = mesh.say(this_is(front(2))).await.unwrap();
    assert_eq!(mesh.pods(), ["front-0", "front-1"]);

    drop(leaving.say);
    mesh.until_pods_are(&["front-0"]).await;
    dying.kill().await;
    assert_eq!(mesh.pods(), ["front-0"]);
    // The stream that comes back in time keeps the place...
    let mut same = front(1);
    same.pod = "front-0".into();
    back.register(&mesh, same).await;
    assert_eq!(mesh.pods(), ["front-0"]);
    // ...and if none does, it is gone.
    back.kill().await;
    mesh.until_pods_are(&[]).await;
}

#[tokio::test]
async fn who_was_refused_asks_again() {
    let mesh = Mesh::new().await;
    let workload = Workload::new("front").as_replica("front-a");
    let first = mesh.control().register(workload.clone());
    first.registered().await.unwrap();
    let second = mesh.control().register(workload);
    let refused = second.registered().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the controller refused the workload: another process is registered as front-a"
    );
    first.end().await;
    mesh.until_pods_are(&["front-a"]).await;
}

#[tokio::test]
async fn a_controller_that_was_restarted_learns_of_it_again() {
    let mut mesh = Mesh::new().await;
    let registration = mesh.control().register(Workload::new("front"));
    registration.registered().await.unwrap();
    mesh.restart().await;
    mesh.until_pods_are(&["front-0"]).await;
    registration.registered().await.unwrap();
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason_and_harms_nobody() {
    let mesh = Mesh::new().await;
    let refused = async |first| mesh.say(first).await.map(drop).unwrap_err();

    let none = refused(RegisterRequest::default()).await;
    assert_eq!(none.code(), Code::InvalidArgument);
    assert_eq!(
        none.message(),
        "the first message must say which replica it is of"
    );
    let mut nameless = front(1);
    nameless.workload = "No Such Name".into();
    assert_eq!(
        refused(this_is(nameless)).await.code(),
        Code::InvalidArgument
    );
    let mut elsewhere = front(1);
    elsewhere.service.as_mut().unwrap().addr = "192.0.2.1:80".into();
    assert_eq!(
        refused(this_is(elsewhere)).await.code(),
        Code::InvalidArgument
    );
    let mut web = front(1);
    web.workload = "web".into();
    let taken = refused(this_is(web)).await;
    assert_eq!(taken.code(), Code::AlreadyExists);
    assert_eq!(
        taken.message(),
        "web is a workload or a service that the mesh runs itself"
    );
    let mut endless = front(1);
    endless.pod = "x".repeat(mesh_v1::MAX_MESSAGE);
    assert_eq!(refused(this_is(endless)).await.code(), Code::OutOfRange);

    let mut named = front(1);
    named.pod = "front-0".into();
    let mut stream = mesh.say(this_is(named.clone())).await.unwrap();
    stream.said().await.unwrap();
    let mut other = named.clone();
    other.instance = 2;
    assert_eq!(refused(this_is(other)).await.code(), Code::AlreadyExists);

    // Metrics that are none change nothing.
    let metrics = Some("{{{\"\n\u{0}=1 NaN\nrequest_total{direction=\"} -1e999".to_owned());
    let odd = RegisterRequest {
        metrics,
        replica: None,
    };
    stream.say.send(odd).await.unwrap();
    // Who changes its mind about who it is loses its place.
    named.workload = "other".into();
    stream.say.send(this_is(named)).await.unwrap();
    let status = stream.said().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    mesh.until_pods_are(&[]).await;

    let mut stream = mesh.say(this_is(front(3))).await.unwrap();
    assert_eq!(stream.said().await.unwrap(), "front-0");
}
