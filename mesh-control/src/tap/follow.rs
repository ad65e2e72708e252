//! Taps every sidecar of the target, including those that start later.

use super::{
    TapQuery, TappedSidecar,
    callers::Callers,
    peers::{PeerLabels, add},
    query::Matching,
    sidecars,
    wire::event_from_wire,
};
use crate::index::{Index, Snapshot};
use linkerd2_proxy_api::tap::tap_client::TapClient;
use mesh_tap::{Direction, Event, Select};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tonic::transport::Endpoint;

/// Capacity of the channel of events. When a slow reader lets it fill up, the sidecars' streams
/// are not read, and the sidecars drop events.
const WAITING: usize = 400;

/// The interval between two requests to a sidecar; it makes the limit of a request a rate.
const PERIOD: Duration = Duration::from_secs(1);

/// The most exchanges of one sidecar whose filter is not decided yet.
const UNDECIDED: usize = 1_000;

const CONNECT: Duration = Duration::from_secs(2);

/// State that the tasks of one tap share.
struct Tap {
    query: TapQuery,
    matching: Matching,
    pods: AtomicUsize,
    /// The next base of exchange ids; sidecars number their exchanges alike.
    bases: AtomicU32,
    known: watch::Sender<(Arc<Snapshot>, PeerLabels)>,
    callers: Callers,
    events: mpsc::Sender<Event>,
}

impl Tap {
    /// Adds the labels of both peers, which the sidecar of `pod` may not know.
    async fn enrich(&self, event: &mut Event, pod: &TappedSidecar) {
        let own = match event.direction {
            Direction::Inbound => &mut event.destination,
            Direction::Outbound => &mut event.source,
        };
        add(own, &pod.labels);
        let running = {
            let (running, known) = &*self.known.borrow();
            known.enrich(&mut event.source);
            known.enrich(&mut event.destination);
            Arc::clone(running)
        };
        if event.direction == Direction::Inbound
            && event.source.label("pod").is_none()
            && let Some(addr) = event.source.addr
            && let Some(caller) = self.callers.of(addr, &running).await
        {
            add(&mut event.source, &caller);
        }
    }
}

/// Starts a tap of the sidecars that `query` targets. It ends when the receiver is dropped.
pub fn follow(index: Index, query: TapQuery, matching: Matching) -> mpsc::Receiver<Event> {
    let (events, receiver) = mpsc::channel(WAITING);
    let tap = Tap {
        query,
        matching,
        pods: AtomicUsize::new(0),
        bases: AtomicU32::new(0),
        known: watch::Sender::default(),
        callers: Callers::default(),
        events,
    };
    tokio::spawn(run(index, Arc::new(tap)));
    receiver
}

async fn run(index: Index, tap: Arc<Tap>) {
    let mut changes = index.changes();
    // Aborts what is in it when it is dropped.
    let mut tasks = JoinSet::new();
    let mut asked: HashMap<TappedSidecar, AbortHandle> = HashMap::new();
    loop {
        let running = index.snapshot();
        let meant = sidecars(&running, &tap.query.target);
        tap.pods.store(meant.len(), Ordering::Relaxed);
        let known = PeerLabels::new(&running);
        tap.known.send_replace((Arc::clone(&running), known));
        asked.retain(|pod, task| {
            let stays = meant.contains(pod);
            if !stays {
                task.abort();
            }
            stays
        });
        for pod in meant {
            asked
                .entry(pod)
                .or_insert_with_key(|pod| tasks.spawn(observe(pod.clone(), Arc::clone(&tap))));
        }
        // Finished tasks are those aborted above.
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = tap.events.closed() => return,
            is_there = changes.changed() => if !is_there { return },
        }
    }
}

/// Taps one sidecar, one request after another: each ends when its limit is reached.
async fn observe(pod: TappedSidecar, tap: Arc<Tap>) {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{}", pod.admin)) else {
        return;
    };
    let mut client = TapClient::new(endpoint.connect_timeout(CONNECT).connect_lazy());
    loop {
        let next = Instant::now() + PERIOD;
        if let Err(status) = observe_once(&mut client, &pod, &tap).await {
            tracing::debug!(admin = %pod.admin, "tap: {status}");
        }
        if tap.events.is_closed() {
            return;
        }
        sleep_until(next).await;
    }
}

async fn observe_once(
    client: &mut TapClient<tonic::transport::Channel>,
    pod: &TappedSidecar,
    tap: &Tap,
) -> Result<(), tonic::Status> {
    let base = tap.bases.fetch_add(1, Ordering::Relaxed);
    let pods = tap.pods.load(Ordering::Relaxed);
    let request = tap.query.request(&tap.matching, pods);
    let mut stream = client.observe(request).await?.into_inner();
    let mut select = Select::new(tap.query.filter.clone(), UNDECIDED);
    while let Some(event) = stream.message().await? {
        let Some(mut event) = event_from_wire(event) else {
            continue;
        };
        event.id.base = base;
        tap.enrich(&mut event, pod).await;
        for event in select.push(event) {
            if tap.events.send(event).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Pod, WorkloadName},
        tap::Target,
    };
    use http::Method;
    use linkerd2_proxy_api::tap::{
        ObserveRequest, TapEvent,
        tap_event::{
            self, Http, ProxyDirection,
            http::{RequestInit, ResponseInit, StreamId},
        },
        tap_server::{self, TapServer},
    };
    use mesh_tap::Filter;
    use std::net::SocketAddr;
    use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
    use tonic::{Request, Response, Status};

    /// A sidecar that shows as many requests as the limit allows.
    struct FakeSidecar;

    #[tonic::async_trait]
    impl tap_server::Tap for FakeSidecar {
        type ObserveStream = ReceiverStream<Result<TapEvent, Status>>;

        async fn observe(
            &self,
            request: Request<ObserveRequest>,
        ) -> Result<Response<Self::ObserveStream>, Status> {
            let limit = request.into_inner().limit;
            let (sender, receiver) = mpsc::channel(2 * limit as usize);
            for stream in 0..u64::from(limit) {
                let init = RequestInit {
                    id: Some(StreamId { base: 0, stream }),
                    method: Some(Method::GET.into()),
                    ..RequestInit::default()
                };
                // Every other one fails.
                let response = ResponseInit {
                    id: Some(StreamId { base: 0, stream }),
                    http_status: if stream % 2 == 0 { 200 } else { 503 },
                    ..ResponseInit::default()
                };
                for event in [
                    tap_event::http::Event::RequestInit(init),
                    tap_event::http::Event::ResponseInit(response),
                ] {
                    let event = TapEvent {
                        proxy_direction: ProxyDirection::Outbound.into(),
                        event: Some(tap_event::Event::Http(Http { event: Some(event) })),
                        ..TapEvent::default()
                    };
                    sender
                        .try_send(Ok(event))
                        .map_err(|_| Status::internal("full"))?;
                }
            }
            Ok(Response::new(ReceiverStream::new(receiver)))
        }
    }

    async fn sidecar() -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(TapServer::new(FakeSidecar));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        admin
    }

    fn pod(name: &str, admin: SocketAddr) -> Pod {
        Pod {
            workload: Some(WorkloadName::deployment("web")),
            admin: Some(admin),
            ..Pod::new("shop", name)
        }
    }

    fn query() -> TapQuery {
        TapQuery {
            target: Target {
                resource: "deploy/web".parse().unwrap(),
                namespace: "shop".to_owned(),
            },
            to: None,
            scheme: None,
            method: None,
            authority: None,
            path_prefix: None,
            route: None,
            filter: Filter::new(),
            headers: false,
            max_rps: 2.0,
        }
    }

    #[tokio::test]
    async fn replicas_that_come_later_are_watched_too() {
        let first = sidecar().await;
        let index = Index::new("cluster.local");
        let sink = index.sink();
        sink.apply(pod("web-0", first));
        let query = query();
        let matching = query.matching().unwrap();
        let mut events = follow(index.clone(), query, matching);
        let event = events.recv().await.unwrap();
        assert_eq!(event.source.label("pod"), Some("web-0"));
        let base = event.id.base;

        let second = sidecar().await;
        sink.apply(pod("web-1", second));
        let later = loop {
            let event = events.recv().await.unwrap();
            if event.source.label("pod") == Some("web-1") {
                break event;
            }
        };
        assert_ne!(
            later.id.base, base,
            "exchanges of two sidecars are told apart"
        );
    }

    #[tokio::test]
    async fn a_filter_holds_for_a_proxy_that_cannot_filter() {
        let index = Index::new("cluster.local");
        index.sink().apply(pod("web-0", sidecar().await));
        let query = TapQuery {
            filter: Filter::new().status(500..),
            max_rps: 4.0,
            ..query()
        };
        let matching = query.matching().unwrap();
        let mut events = follow(index, query, matching);
        for stream in [1, 1, 3, 3] {
            assert_eq!(events.recv().await.unwrap().id.stream, stream);
        }
    }
}
