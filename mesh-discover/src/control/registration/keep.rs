//! One registration's stream, opened again whenever it ends.

use super::{Refused, Registered, State, Wish};
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

/// How often the controller is told what was counted; it reads sidecars as often.
const METRICS: Duration = Duration::from_secs(1);

/// A controller that refuses is asked again after these pauses: the reason may go away.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long the controller may take to notice that a stream has ended in order.
const PARTING: Duration = Duration::from_secs(1);

/// How a stream came to its end.
enum End {
    /// The registration is over.
    Wished,
    /// The controller ended it in order: it is being stopped.
    ByController,
    Failed(Status),
}

pub(super) async fn keep(
    shared: Arc<Shared>,
    workload: Workload,
    mut wishes: watch::Receiver<Wish>,
    news: watch::Sender<State>,
) {
    let _asks = shared.connection.ask();
    let mut replica = replica(&workload);
    let mut backoff = Backoff::new(shared.config.backoff);
    let mut refusals = Backoff::new(REFUSED);
    loop {
        let (generation, channel) = tokio::select! {
            connected = shared.connection.channel() => connected,
            () = over(&mut wishes) => return,
        };
        let heard = || shared.connection.heard(generation);
        let end = stream(channel, heard, &workload, &mut replica, &mut wishes, &news).await;
        let was_registered = matches!(*news.borrow(), State::Registered(_));
        if was_registered {
            backoff.reset();
            refusals.reset();
            news.send_replace(State::Pending);
        }
        let pause = match end {
            End::Wished => return,
            End::ByController => backoff.pause(),
            End::Failed(status) if is_transport(&status) => {
                // The connection has a pause of its own, for all streams together.
                shared.connection.broken(generation).await;
                continue;
            }
            End::Failed(status) => {
                let refused = Refused::of(&status);
                tracing::warn!(workload = workload.name, "{refused}");
                news.send_replace(State::Refused(refused));
                refusals.pause()
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = over(&mut wishes) => return,
        }
    }
}

/// Waits until nothing is wished any more. What is wished meanwhile, whoever needs it reads.
async fn over(wishes: &mut watch::Receiver<Wish>) {
    while wishes.changed().await.is_ok() {}
}

/// Registers on one stream, for as long as that lives and is wished.
async fn stream(
    channel: tonic::transport::Channel,
    heard: impl Fn(),
    workload: &Workload,
    replica: &mut Replica,
    wishes: &mut watch::Receiver<Wish>,
    news: &watch::Sender<State>,
) -> End {
    let (say, said) = mpsc::channel(2);
    replica.state = wire_state(*wishes.borrow_and_update());
    // There is room for two.
    let _ = say.try_send(this_is(replica));
    let mut answers = tokio::select! {
        opened = mesh_v1::register(channel, ReceiverStream::new(said)) => match opened {
            Ok(response) => response.into_inner(),
            Err(status) => return End::Failed(status),
        },
        () = over(wishes) => return End::Wished,
    };
    let mut tick = interval(METRICS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_too_long = false;
    loop {
        tokio::select! {
            answer = answers.message() => match answer {
                Ok(Some(RegisterResponse { namespace, pod })) => {
                    heard();
                    // From now on the replica comes back under this name.
                    replica.namespace.clone_from(&namespace);
                    replica.pod.clone_from(&pod);
                    let (namespace, pod) = (namespace.into(), pod.into());
                    news.send_replace(State::Registered(Registered { namespace, pod }));
                }
                Ok(None) => return End::ByController,
                Err(status) => return End::Failed(status),
            },
            _ = tick.tick() => {
                let Some(render) = &workload.metrics else { continue };
                // A controller that does not read in time misses one; counters lose nothing.
                let Ok(place) = say.try_reserve() else { continue };
                let metrics = render();
                if metrics.len() < MAX_MESSAGE - 64 {
                    place.send(RegisterRequest { metrics: Some(metrics), replica: None });
                } else if !std::mem::replace(&mut is_too_long, true) {
                    let length = metrics.len();
                    tracing::warn!(length, "metrics are too long to be sent to the controller");
                }
            }
            changed = wishes.changed() => {
                if changed.is_err() {
                    drop(say);
                    let _ = timeout(PARTING, to_the_end(answers)).await;
                    return End::Wished;
                }
                replica.state = wire_state(*wishes.borrow_and_update());
                // If it fails, the stream is about to say why.
                let _ = say.send(this_is(replica)).await;
            }
        }
    }
}

async fn to_the_end(mut answers: Streaming<RegisterResponse>) {
    while let Ok(Some(_)) = answers.message().await {}
}

fn this_is(replica: &Replica) -> RegisterRequest {
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
        // From the keys std draws for hash maps: nobody has a reason to guess it.
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

fn wire_state(wish: Wish) -> i32 {
    match wish {
        Wish::Ready => mesh_v1::State::Ready.into(),
        Wish::Unready => mesh_v1::State::Unready.into(),
        Wish::Draining => mesh_v1::State::Draining.into(),
    }
}
