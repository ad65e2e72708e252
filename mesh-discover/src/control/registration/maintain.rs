//! One registration's stream, opened again whenever it ends.

use super::{DesiredState, Refused, Registered, RegistrationState};
use crate::{
    Workload,
    control::{Shared, backoff::Backoff, stream::is_transport},
    wire::mesh_v1::{
        self, MAX_MESSAGE, Protocol, RegisterRequest, RegisterResponse, Replica, Service,
    },
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Interval at which metrics are sent; the controller scrapes sidecars equally often.
const METRICS: Duration = Duration::from_secs(1);

/// Minimum and maximum pause before registering again after a refusal.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Limit for the controller to acknowledge a deregistration.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(1);

/// Reason why a stream ended.
enum End {
    /// The program dropped or ended the registration.
    Deregistered,
    /// The controller closed the stream without an error: it is shutting down.
    ByController,
    Failed(Status),
}

pub(super) async fn maintain(
    shared: Arc<Shared>,
    workload: Workload,
    mut desired: watch::Receiver<DesiredState>,
    progress: watch::Sender<RegistrationState>,
) {
    let _interest = shared.connection.interest();
    let mut replica = replica(&workload);
    let mut backoff = Backoff::new(shared.config.backoff);
    let mut refusals = Backoff::new(REFUSED);
    loop {
        let (generation, channel) = tokio::select! {
            connected = shared.connection.channel() => connected,
            () = ended(&mut desired) => return,
        };
        let heard = || shared.connection.heard(generation);
        let end = stream(
            channel,
            heard,
            &workload,
            &mut replica,
            &mut desired,
            &progress,
        )
        .await;
        let was_registered = matches!(*progress.borrow(), RegistrationState::Registered(_));
        if was_registered {
            backoff.reset();
            refusals.reset();
            progress.send_replace(RegistrationState::Pending);
        }
        let pause = match end {
            End::Deregistered => return,
            End::ByController => backoff.pause(),
            End::Failed(status) if is_transport(&status) => {
                // The connection has a pause of its own, for all streams together.
                shared.connection.broken(generation).await;
                continue;
            }
            End::Failed(status) => {
                let refused = Refused::of(&status);
                tracing::warn!(workload = workload.name, "{refused}");
                progress.send_replace(RegistrationState::Refused(refused));
                refusals.pause()
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = ended(&mut desired) => return,
        }
    }
}

/// Waits until the registration is dropped. Changes in between are read from the channel later.
async fn ended(desired: &mut watch::Receiver<DesiredState>) {
    while desired.changed().await.is_ok() {}
}

/// Registers on one stream until the stream or the registration ends.
async fn stream(
    channel: tonic::transport::Channel,
    heard: impl Fn(),
    workload: &Workload,
    replica: &mut Replica,
    desired: &mut watch::Receiver<DesiredState>,
    progress: &watch::Sender<RegistrationState>,
) -> End {
    let (requests, received) = mpsc::channel(2);
    replica.state = wire_state(*desired.borrow_and_update());
    // There is room for two.
    let _ = requests.try_send(state_request(replica));
    let mut answers = tokio::select! {
        opened = mesh_v1::register(channel, ReceiverStream::new(received)) => match opened {
            Ok(response) => response.into_inner(),
            Err(status) => return End::Failed(status),
        },
        () = ended(desired) => return End::Deregistered,
    };
    let mut tick = interval(METRICS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_too_long = false;
    loop {
        tokio::select! {
            answer = answers.message() => match answer {
                Ok(Some(RegisterResponse { namespace, pod })) => {
                    heard();
                    // The replica registers under this name again after a reconnect.
                    replica.namespace.clone_from(&namespace);
                    replica.pod.clone_from(&pod);
                    let (namespace, pod) = (namespace.into(), pod.into());
                    progress.send_replace(RegistrationState::Registered(Registered { namespace, pod }));
                }
                Ok(None) => return End::ByController,
                Err(status) => return End::Failed(status),
            },
            _ = tick.tick() => {
                let Some(render) = &workload.metrics else { continue };
                // A slow controller misses one sample; counters lose nothing.
                let Ok(place) = requests.try_reserve() else { continue };
                let metrics = render();
                if metrics.len() < MAX_MESSAGE - 64 {
                    place.send(RegisterRequest { metrics: Some(metrics), replica: None });
                } else if !std::mem::replace(&mut is_too_long, true) {
                    let length = metrics.len();
                    tracing::warn!(length, "metrics are too long to be sent to the controller");
                }
            }
            changed = desired.changed() => {
                if changed.is_err() {
                    drop(requests);
                    let _ = timeout(DEREGISTER_TIMEOUT, drain(answers)).await;
                    return End::Deregistered;
                }
                replica.state = wire_state(*desired.borrow_and_update());
                // If it fails, the stream is about to requests why.
                let _ = requests.send(state_request(replica)).await;
            }
        }
    }
}

async fn drain(mut answers: Streaming<RegisterResponse>) {
    while let Ok(Some(_)) = answers.message().await {}
}

fn state_request(replica: &Replica) -> RegisterRequest {
    RegisterRequest {
        replica: Some(replica.clone()),
        metrics: None,
    }
}

fn replica(workload: &Workload) -> Replica {
    Replica {
        namespace: workload.namespace.clone(),
        workload: workload.name.clone(),
        pod: workload.pod.clone(),
        // From std's random hash keys: no client has a reason to guess it.
        instance: RandomState::new().build_hasher().finish(),
        pid: std::process::id(),
        service: workload.service.map(|(port, addr)| Service {
            port: port.into(),
            addr: addr.to_string(),
            protocol: match workload.h2 {
                true => Protocol::H2.into(),
                false => Protocol::Http1.into(),
            },
        }),
        state: 0,
    }
}

fn wire_state(desired: DesiredState) -> i32 {
    match desired {
        DesiredState::Ready => mesh_v1::State::Ready.into(),
        DesiredState::Unready => mesh_v1::State::Unready.into(),
        DesiredState::Draining => mesh_v1::State::Draining.into(),
    }
}
