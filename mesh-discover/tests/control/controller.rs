//! A controller that says what the test tells it to, and what it can say.

use linkerd2_proxy_api::destination::{
    DestinationProfile, GetDestination, NoEndpoints, Update, WeightedAddrSet, WeightedDst,
    destination_server::{Destination, DestinationServer},
    update::Update as Kind,
};
use mesh_discover::{Control, ControlConfig, Endpoint, Watch, wire};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::mpsc,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

pub(super) type Say<T> = mpsc::Sender<Result<T, Status>>;

/// A stream that a client has opened, and the way to say something on it.
pub(super) enum Opened {
    Profile(GetDestination, Say<DestinationProfile>),
    Endpoints(GetDestination, Say<Update>),
}

pub(super) struct Script(mpsc::UnboundedSender<Opened>);

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
pub(super) struct Controller {
    pub(super) addr: SocketAddr,
    pub(super) opened: mpsc::UnboundedReceiver<Opened>,
    runtime: Option<Runtime>,
}

impl Controller {
    pub(super) async fn start(addr: SocketAddr) -> Self {
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

    pub(super) async fn new() -> Self {
        Self::start(([127, 0, 0, 1], 0).into()).await
    }

    /// Returns a client with this removal grace period that reconnects without a pause.
    pub(super) fn client_with_removal_grace(&self, grace: Duration) -> Control {
        let mut config = ControlConfig::new(&self.addr.to_string()).unwrap();
        config.removal_grace = grace;
        config.first_endpoints = Duration::from_secs(60);
        config.backoff = (Duration::ZERO, Duration::ZERO);
        Control::new(config)
    }

    pub(super) fn client(&self) -> Control {
        let mut config = ControlConfig::new(&self.addr.to_string()).unwrap();
        // A test is not late, however slow the machine.
        config.first_endpoints = Duration::from_secs(60);
        Control::new(config.with_context_token(r#"{"ns":"shop"}"#))
    }

    pub(super) async fn profile(&mut self) -> (GetDestination, Say<DestinationProfile>) {
        match self.opened.recv().await.unwrap() {
            Opened::Profile(request, say) => (request, say),
            Opened::Endpoints(request, _) => panic!("endpoints of {}", request.path),
        }
    }

    pub(super) async fn endpoints(&mut self) -> (GetDestination, Say<Update>) {
        match self.opened.recv().await.unwrap() {
            Opened::Endpoints(request, say) => (request, say),
            Opened::Profile(request, _) => panic!("profile of {}", request.path),
        }
    }

    /// The streams of a client that comes back: in any order, by themselves.
    pub(super) async fn both(&mut self) -> (Say<DestinationProfile>, Say<Update>) {
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
    pub(super) async fn kill(mut self) -> SocketAddr {
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

pub(super) const WEB: &str = "web.shop.svc.cluster.local";

pub(super) fn named(overrides: &[(&str, u32)]) -> DestinationProfile {
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

pub(super) fn add(ports: &[u16]) -> Update {
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

pub(super) fn none() -> Update {
    Update {
        update: Some(Kind::NoEndpoints(NoEndpoints { exists: false })),
    }
}

pub(super) fn ports(destination: &mesh_discover::Destination) -> Vec<u16> {
    let backends = destination.backends().iter();
    let endpoints = backends.flat_map(|backend| backend.endpoints().iter());
    endpoints.map(|endpoint| endpoint.addr.port()).collect()
}

pub(super) async fn next(watch: &mut Watch<mesh_discover::Destination>) -> Vec<u16> {
    ports(&watch.changed().await.unwrap())
}
