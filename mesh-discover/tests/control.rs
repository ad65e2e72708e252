//! A real client against a controller that says what the test tells it to.

use linkerd2_proxy_api::destination::{
    DestinationProfile, GetDestination, NoEndpoints, Update, WeightedAddrSet, WeightedDst,
    destination_server::{Destination, DestinationServer},
    update::Update as Kind,
};
use mesh_discover::{Control, ControlConfig, Endpoint, Watch, Workload, wire};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::mpsc,
    time::advance,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

type Say<T> = mpsc::Sender<Result<T, Status>>;

/// A stream that a client has opened, and the way to say something on it.
enum Opened {
    Profile(GetDestination, Say<DestinationProfile>),
    Endpoints(GetDestination, Say<Update>),
}

struct Script(mpsc::UnboundedSender<Opened>);

#[tonic::async_trait]
impl Destination for Script {
    type GetStream = ReceiverStream<Result<Update, Status>>;
    type GetProfileStream = ReceiverStream<Result<DestinationProfile, Status>>;

    async fn get(
        &self,
        request: Request<GetDestination>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let (say, said) = mpsc::channel(8);
        let _ = self.0.send(Opened::Endpoints(request.into_inner(), say));
        Ok(Response::new(ReceiverStream::new(said)))
    }

    async fn get_profile(
        &self,
        request: Request<GetDestination>,
    ) -> Result<Response<Self::GetProfileStream>, Status> {
        let (say, said) = mpsc::channel(8);
        let _ = self.0.send(Opened::Profile(request.into_inner(), say));
        Ok(Response::new(ReceiverStream::new(said)))
    }
}

/// A controller, until it is dropped.
struct Controller {
    addr: SocketAddr,
    opened: mpsc::UnboundedReceiver<Opened>,
    runtime: Option<Runtime>,
}

impl Controller {
    async fn start(addr: SocketAddr) -> Self {
        // A runtime of its own, so that its connections can be made to die with it.
        let mut runtime = runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (opened, receiver) = mpsc::unbounded_channel();
        let addr = runtime.spawn(async move {
            let listener = TcpListener::bind(addr).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let server = Server::builder().add_service(DestinationServer::new(Script(opened)));
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            addr
        });
        Self {
            addr: addr.await.unwrap(),
            opened: receiver,
            runtime: Some(runtime),
        }
    }

    async fn new() -> Self {
        Self::start(([127, 0, 0, 1], 0).into()).await
    }

    /// One that doubts for so long, and comes back without a pause.
    fn doubting_client(&self, doubt: Duration) -> Control {
        let mut config = ControlConfig::new(&self.addr.to_string()).unwrap();
        config.doubt = doubt;
        config.backoff = (Duration::ZERO, Duration::ZERO);
        Control::new(config)
    }

    fn client(&self) -> Control {
        let config = ControlConfig::new(&self.addr.to_string()).unwrap();
        Control::new(config.with_context_token(r#"{"ns":"shop"}"#))
    }

    async fn profile(&mut self) -> (GetDestination, Say<DestinationProfile>) {
        match self.opened.recv().await.unwrap() {
            Opened::Profile(request, say) => (request, say),
            Opened::Endpoints(request, _) => panic!("endpoints of {}", request.path),
        }
    }

    async fn endpoints(&mut self) -> (GetDestination, Say<Update>) {
        match self.opened.recv().await.unwrap() {
            Opened::Endpoints(request, say) => (request, say),
            Opened::Profile(request, _) => panic!("profile of {}", request.path),
        }
    }

    /// The streams of a client that comes back: in any order, by themselves.
    async fn both(&mut self) -> (Say<DestinationProfile>, Say<Update>) {
        let (mut profile, mut endpoints) = (None, None);
        loop {
            match self.opened.recv().await.unwrap() {
                Opened::Profile(_, say) => profile = Some(say),
                Opened::Endpoints(_, say) => endpoints = Some(say),
            }
            if let (Some(profile), Some(endpoints)) = (&profile, &endpoints) {
                return (profile.clone(), endpoints.clone());
            }
        }
    }

    /// Ends as a killed process does: without a word, on every connection.
    async fn kill(mut self) -> SocketAddr {
        let runtime = self.runtime.take();
        let addr = self.addr;
        tokio::task::spawn_blocking(|| drop(runtime)).await.unwrap();
        addr
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// While this lives, paused time does not move by itself, as it otherwise does whenever only the
/// network is waited for.
struct Frozen {
    _thaw: std::sync::mpsc::Sender<()>,
    thread: tokio::task::JoinHandle<()>,
}

impl Frozen {
    fn begin() -> Self {
        let (thaw, frozen) = std::sync::mpsc::channel();
        let thread = tokio::task::spawn_blocking(move || {
            let _ = frozen.recv_timeout(Duration::from_secs(30));
        });
        Self {
            _thaw: thaw,
            thread,
        }
    }

    /// Waits for what other threads and the network do.
    async fn until(&self, what: impl Fn() -> bool) {
        while !what() {
            assert!(!self.thread.is_finished(), "waited for 30 s in vain");
            tokio::task::yield_now().await;
        }
    }
}

const WEB: &str = "web.shop.svc.cluster.local";

fn named(overrides: &[(&str, u32)]) -> DestinationProfile {
    DestinationProfile {
        fully_qualified_name: WEB.into(),
        dst_overrides: overrides
            .iter()
            .map(|(authority, weight)| WeightedDst {
                authority: (*authority).into(),
                weight: *weight,
                backend_ref: None,
            })
            .collect(),
        ..DestinationProfile::default()
    }
}

fn add(ports: &[u16]) -> Update {
    let addrs = ports.iter().map(|port| {
        let endpoint = Endpoint::new(([127, 0, 0, 1], *port).into());
        wire::endpoint_to_wire(&endpoint)
    });
    Update {
        update: Some(Kind::Add(WeightedAddrSet {
            addrs: addrs.collect(),
            ..WeightedAddrSet::default()
        })),
    }
}

fn none() -> Update {
    Update {
        update: Some(Kind::NoEndpoints(NoEndpoints { exists: false })),
    }
}

fn ports(destination: &mesh_discover::Destination) -> Vec<u16> {
    let leaves = destination.leaves.iter();
    let endpoints = leaves.flat_map(|leaf| leaf.endpoints.iter());
    endpoints.map(|endpoint| endpoint.addr.port()).collect()
}

async fn next(watch: &mut Watch<mesh_discover::Destination>) -> Vec<u16> {
    ports(&watch.changed().await.unwrap())
}

#[tokio::test]
async fn a_destination_is_its_profile_and_its_leaves_together() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("web:8080");
    assert_eq!(watch.current(), None);

    let (asked, profile) = controller.profile().await;
    assert_eq!(asked.path, "web:8080");
    assert_eq!(asked.context_token, r#"{"ns":"shop"}"#);
    profile.send(Ok(named(&[]))).await.unwrap();
    let (asked, apex) = controller.endpoints().await;
    assert_eq!(asked.path, format!("{WEB}:8080"));
    apex.send(Ok(add(&[1, 2]))).await.unwrap();
    let first = watch.ready().await.unwrap();
    assert_eq!(first.name.as_deref(), Some(&*format!("{WEB}:8080")));
    assert_eq!(ports(&first), [1, 2]);

    // A split keeps the apex's stream, and is announced once the new leaf is known.
    let split = named(&[(&format!("{WEB}:8080"), 9), ("web-2.shop.svc:8080", 1)]);
    profile.send(Ok(split)).await.unwrap();
    let (asked, canary) = controller.endpoints().await;
    assert_eq!(asked.path, "web-2.shop.svc:8080");
    canary.send(Ok(add(&[3]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [1, 2, 3]);

    // And ends with the leaf.
    profile.send(Ok(named(&[]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [1, 2]);
    canary.closed().await;
    assert!(!apex.is_closed());
}

#[tokio::test]
async fn a_name_outside_the_mesh_is_answered_too() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("example.com:443");
    let (_, profile) = controller.profile().await;
    let unknown = DestinationProfile::default();
    profile.send(Ok(unknown)).await.unwrap();
    let destination = watch.ready().await.unwrap();
    assert!(!destination.is_known());
    assert!(destination.leaves.is_empty());
}

#[tokio::test]
async fn a_subscription_is_shared_and_ends_with_its_last_watch() {
    let mut controller = Controller::new().await;
    let control = controller.client();
    let first = control.destination("web");
    let second = control.clone().destination("web");
    let (_, profile) = controller.profile().await;
    drop(first);
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    assert!(second.clone().ready().await.is_some());
    drop(second);
    profile.closed().await;

    let mut again = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[7]))).await.unwrap();
    assert_eq!(ports(&again.ready().await.unwrap()), [7]);
}

#[tokio::test]
async fn the_last_answer_outlives_the_controller_and_the_next_one_replaces_it() {
    let mut controller = Controller::new().await;
    let control = controller.client();
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    let addr = controller.kill().await;
    let mut controller = Controller::start(addr).await;
    let (profile, endpoints) = controller.both().await;
    // A controller that has said nothing yet is none.
    assert!(control.lost().is_some() && !control.is_connected());
    assert_eq!(ports(&watch.current().unwrap()), [1, 2]);
    profile.send(Ok(named(&[]))).await.unwrap();
    endpoints.send(Ok(add(&[]))).await.unwrap();
    endpoints.send(Ok(add(&[2, 3]))).await.unwrap();
    // Neither the same profile nor the empty update was news.
    assert_eq!(next(&mut watch).await, [2, 3]);
    assert!(control.lost().is_none() && control.is_connected());
    assert_eq!(control.ignored(), 1);

    endpoints.send(Ok(none())).await.unwrap();
    assert!(next(&mut watch).await.is_empty());
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_controller_that_has_just_started_is_not_believed_that_everything_is_gone() {
    let frozen = Frozen::begin();
    let mut controller = Controller::new().await;
    let control = controller.doubting_client(SECOND);
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    // The next one comes to know better; the one after it does not.
    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, endpoints) = controller.both().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    endpoints.send(Ok(none())).await.unwrap();
    profile.send(Ok(named(&[]))).await.unwrap();
    endpoints.send(Ok(add(&[2, 3]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [2, 3]);
    frozen.until(|| control.doubted() == 0).await;

    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, endpoints) = controller.both().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    frozen.until(|| control.doubted() == 1).await;
    endpoints.send(Ok(none())).await.unwrap();
    endpoints.send(Ok(Update { update: None })).await.unwrap();
    frozen.until(|| control.ignored() == 1).await;
    assert_eq!(ports(&watch.current().unwrap()), [2, 3]);
    advance(SECOND).await;
    let last = watch.changed().await.unwrap();
    assert!(!last.is_known() && last.leaves.is_empty());
    assert_eq!((control.doubted(), control.ignored()), (0, 1));
}

#[tokio::test]
async fn a_workload_that_comes_back_after_its_end_was_believed_is_found() {
    let mut controller = Controller::new().await;
    let control = controller.doubting_client(Duration::from_millis(1));
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1]);

    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, endpoints) = controller.both().await;
    let unknown = DestinationProfile::default();
    profile.send(Ok(unknown)).await.unwrap();
    while watch.changed().await.unwrap().is_known() {}
    // No stream is kept for a leaf that is gone, and what was under way on it is no loss.
    let _ = endpoints.send(Ok(add(&[1, 2]))).await;
    endpoints.closed().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    while next(&mut watch).await != [1, 2] {}
}

#[tokio::test(start_paused = true)]
async fn what_is_doubted_is_forgotten_with_the_controller_that_said_it() {
    let frozen = Frozen::begin();
    let mut controller = Controller::new().await;
    let control = controller.doubting_client(SECOND);
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    // One that dies before its time is up is believed neither then, nor by the next one's word.
    let mut addr = controller.kill().await;
    for _ in 0..2 {
        let mut controller = Controller::start(addr).await;
        let (profile, endpoints) = controller.both().await;
        let unknown = DestinationProfile::default();
        profile.send(Ok(unknown)).await.unwrap();
        endpoints.send(Ok(none())).await.unwrap();
        frozen.until(|| control.doubted() == 1).await;
        advance(SECOND * 6 / 10).await;
        addr = controller.kill().await;
        frozen.until(|| control.doubted() == 0).await;
    }
    advance(SECOND).await;
    assert_eq!(ports(&watch.current().unwrap()), [1, 2]);

    // One that lives has its whole time, but no more.
    let mut controller = Controller::start(addr).await;
    let (_profile, endpoints) = controller.both().await;
    endpoints.send(Ok(none())).await.unwrap();
    frozen.until(|| control.doubted() == 1).await;
    advance(SECOND * 6 / 10).await;
    endpoints.send(Ok(none())).await.unwrap();
    endpoints.send(Ok(Update { update: None })).await.unwrap();
    frozen.until(|| control.ignored() == 1).await;
    assert_eq!(ports(&watch.current().unwrap()), [1, 2]);
    advance(SECOND * 4 / 10).await;
    assert_eq!(next(&mut watch).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn each_leaf_is_doubted_for_a_time_of_its_own() {
    let frozen = Frozen::begin();
    let mut controller = Controller::new().await;
    let control = controller.doubting_client(SECOND);
    let mut watch = control.destination("web");
    let split = named(&[("a.shop.svc:80", 1), ("b.shop.svc:80", 1)]);
    let (_, profile) = controller.profile().await;
    profile.send(Ok(split)).await.unwrap();
    let leaves = async |controller: &mut Controller| {
        let (mut a, mut b) = (None, None);
        while a.is_none() || b.is_none() {
            match controller.opened.recv().await.unwrap() {
                Opened::Endpoints(asked, say) if asked.path == "a.shop.svc:80" => a = Some(say),
                Opened::Endpoints(_, say) => b = Some(say),
                Opened::Profile(..) => {}
            }
        }
        (a.unwrap(), b.unwrap())
    };
    let (a, b) = leaves(&mut controller).await;
    a.send(Ok(add(&[1]))).await.unwrap();
    b.send(Ok(add(&[2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    let mut controller = Controller::start(controller.kill().await).await;
    let (a, b) = leaves(&mut controller).await;
    a.send(Ok(none())).await.unwrap();
    frozen.until(|| control.doubted() == 1).await;
    advance(SECOND * 9 / 10).await;
    b.send(Ok(none())).await.unwrap();
    b.send(Ok(Update { update: None })).await.unwrap();
    frozen.until(|| control.ignored() == 1).await;
    advance(SECOND / 10).await;
    assert_eq!(next(&mut watch).await, [2]);
    assert_eq!(control.doubted(), 1);
    advance(SECOND * 9 / 10).await;
    assert_eq!(next(&mut watch).await, [0; 0]);
    assert_eq!(control.doubted(), 0);
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_on_the_same_connection() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("web");
    let (_, profile) = controller.profile().await;
    let refused = Status::internal("not today");
    profile.send(Err(refused)).await.unwrap();
    let (_, profile) = controller.profile().await;
    drop(profile);
    let (_, profile) = controller.profile().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    assert!(watch.ready().await.is_some());
}

#[tokio::test]
async fn a_controller_that_is_late_is_found() {
    let controller = Controller::new().await;
    let control = controller.client();
    let addr = controller.kill().await;
    let mut watch = control.destination("web");
    assert_eq!(watch.current(), None);

    let mut controller = Controller::start(addr).await;
    let (_, profile) = controller.profile().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    assert!(watch.ready().await.is_some());
}

#[tokio::test]
async fn a_leaf_nobody_answers_for_does_not_hold_up_the_rest() {
    let mut controller = Controller::new().await;
    let mut watch = controller.client().destination("web");
    let (_, profile) = controller.profile().await;
    let split = named(&[("a.shop.svc:80", 1), ("b.shop.svc:80", 1)]);
    profile.send(Ok(split)).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..2 {
        let (asked, endpoints) = controller.endpoints().await;
        match asked.path.as_str() {
            "a.shop.svc:80" => endpoints.send(Ok(add(&[1]))).await.unwrap(),
            _ => silent.push(endpoints.clone()),
        }
        silent.push(endpoints);
    }
    let destination = watch.ready().await.unwrap();
    assert_eq!(destination.leaves.len(), 2);
    assert_eq!(ports(&destination), [1]);
}

#[test]
fn an_address_is_host_and_port() {
    for addr in ["127.0.0.1:8086", "controller.mesh:8086", "[::1]:8086"] {
        assert_eq!(ControlConfig::new(addr).unwrap().addr(), addr);
    }
    for addr in [
        "",
        "localhost",
        "localhost:0",
        ":80",
        "http://a:80",
        "a:b",
        "u@a:80",
    ] {
        assert!(ControlConfig::new(addr).is_err(), "{addr}");
    }
}

#[tokio::test]
async fn a_controller_without_registrations_is_followed_all_the_same() {
    let mut controller = Controller::new().await;
    let control = controller.client();
    let registration = control.register(Workload::new("front"));
    let refused = registration.registered().await.unwrap_err();
    assert!(refused.is_unknown(), "{refused}");

    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    let unknown = DestinationProfile::default();
    profile.send(Ok(unknown)).await.unwrap();
    assert!(watch.ready().await.is_some());
    registration.end().await;
}
