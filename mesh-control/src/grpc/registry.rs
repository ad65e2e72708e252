use super::{
    owner,
    registration::{conditions, registration},
};
use crate::{
    index::{Index, Lease, Refusal},
    model::Conditions,
    stats::{Sidecar, Store, scrape},
};
use mesh_discover::wire::mesh_v1::{
    RegisterRequest, RegisterResponse, Registry, RegistryServer, Replica,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Limit on the time to the first message of a stream.
const FIRST: Duration = Duration::from_secs(5);

/// Time from a broken stream to the end of its registration: longer than a program takes to
/// connect again.
const GRACE: Duration = Duration::from_secs(3);

/// The shortest time between two messages read from one stream. A faster client is slowed down by
/// flow control.
const PACE: Duration = Duration::from_millis(100);

/// The service `mesh.v1.Registry`: registers programs that are in the mesh without a sidecar.
///
/// It accepts programs on this machine only, since they register loopback addresses, and only
/// programs of the controller's own user, since a registration changes the mesh.
#[derive(Clone, Debug)]
pub struct RegistryApi {
    index: Index,
    store: Arc<Mutex<Store>>,
    stop: watch::Receiver<bool>,
}

impl RegistryApi {
    /// Registers pods in `index` and takes their metrics into `store`, until `stop` is true or its
    /// sender is dropped.
    pub fn new(index: Index, store: Arc<Mutex<Store>>, stop: watch::Receiver<bool>) -> Self {
        Self { index, store, stop }
    }

    /// The gRPC service.
    pub fn into_service(self) -> RegistryServer<Self> {
        RegistryServer::new(self)
    }
}

#[tonic::async_trait]
impl Registry for RegistryApi {
    type RegisterStream = ReceiverStream<Result<RegisterResponse, Status>>;

    async fn register(
        &self,
        request: Request<Streaming<RegisterRequest>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (peer, local) = (request.remote_addr(), request.local_addr());
        let is_ours = peer
            .zip(local)
            .is_some_and(|(peer, local)| peer.ip().is_loopback() && owner::is_ours(peer, local));
        if !is_ours {
            return Err(Status::permission_denied(
                "only programs of the controller's user, on its machine, may register",
            ));
        }
        let mut messages = request.into_inner();
        let first = timeout(FIRST, messages.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no message came in time"))??;
        let replica = first.and_then(|first| first.replica).ok_or_else(|| {
            Status::invalid_argument("the first message must say which replica it is of")
        })?;
        let registration = registration(replica.clone())?;
        let lease = self
            .index
            .register(registration)
            .map_err(|refusal| refused(&refusal))?;
        tracing::info!(
            namespace = %lease.namespace,
            pod = %lease.pod,
            pid = replica.pid,
            "registered"
        );
        let (answer, answers) = mpsc::channel(2);
        // There is room for two.
        let _ = answer.try_send(Ok(response(&lease)));
        let held = HeldLease {
            index: self.index.clone(),
            lease: Some(lease),
        };
        tokio::spawn(self.clone().follow(held, replica, messages, answer));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl RegistryApi {
    /// Applies the messages of a registered replica until its stream ends.
    async fn follow(
        self,
        held: HeldLease,
        mut known: Replica,
        mut messages: Streaming<RegisterRequest>,
        answer: mpsc::Sender<Result<RegisterResponse, Status>>,
    ) {
        let Some(lease) = held.lease.clone() else {
            return;
        };
        let source = Sidecar {
            namespace: lease.namespace.clone(),
            deployment: lease.workload.clone(),
            pod: lease.pod.clone(),
        };
        let mut stop = self.stop.clone();
        // An error is the end, too.
        let mut stopped = std::pin::pin!(async { drop(stop.wait_for(|stop| *stop).await) });
        loop {
            let next = Instant::now() + PACE;
            let message = tokio::select! {
                message = messages.message() => message,
                () = answer.closed() => return,
                () = &mut stopped => return,
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return held.leave(),
                Err(status) => {
                    tracing::debug!(pod = %source.pod, %status, "a registration broke");
                    // The client learns of errors that are its own fault.
                    let _ = answer.try_send(Err(status));
                    return;
                }
            };
            if let Some(text) = &message.metrics {
                scrape::ingest(&self.store, &source, text);
            }
            if let Some(replica) = message.replica {
                match change(&known, &replica, &lease) {
                    Ok(conditions) => {
                        self.index.set_conditions(&lease, conditions);
                        known.state = replica.state;
                        if answer.send(Ok(response(&lease))).await.is_err() {
                            return;
                        }
                    }
                    Err(status) => {
                        let _ = answer.try_send(Err(status));
                        return held.leave();
                    }
                }
            }
            sleep_until(next).await;
        }
    }
}

/// The state that `now` says the replica is in; nothing else of it may have changed.
fn change(before: &Replica, now: &Replica, lease: &Lease) -> Result<Conditions, Status> {
    let mut expected = before.clone();
    expected.state = now.state;
    // It may use the names that it was given, or go on as before.
    if !now.namespace.is_empty() && *now.namespace == *lease.namespace {
        expected.namespace.clone_from(&now.namespace);
    }
    if !now.pod.is_empty() && *now.pod == *lease.pod {
        expected.pod.clone_from(&now.pod);
    }
    if expected != *now {
        return Err(Status::invalid_argument(
            "only the state of a registered replica may change",
        ));
    }
    conditions(now.state)
}

fn response(lease: &Lease) -> RegisterResponse {
    RegisterResponse {
        namespace: lease.namespace.to_string(),
        pod: lease.pod.to_string(),
    }
}

fn refused(refusal: &Refusal) -> Status {
    let reason = refusal.to_string();
    match refusal {
        Refusal::Declared(_) | Refusal::Taken(_) => Status::already_exists(reason),
        Refusal::OtherPort(_) => Status::failed_precondition(reason),
        Refusal::Full => Status::resource_exhausted(reason),
    }
}

/// Keeps a registration for as long as it lives, and a grace period longer.
struct HeldLease {
    index: Index,
    lease: Option<Lease>,
}

impl HeldLease {
    /// Ends the registration at once.
    fn leave(mut self) {
        if let Some(lease) = self.lease.take() {
            self.index.unregister(&lease);
            tracing::info!(namespace = %lease.namespace, pod = %lease.pod, "left");
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        if !self.index.lose(&lease) {
            return;
        }
        let index = self.index.clone();
        tokio::spawn(async move {
            sleep(GRACE).await;
            index.unregister(&lease);
            tracing::info!(namespace = %lease.namespace, pod = %lease.pod, "gone");
        });
    }
}
