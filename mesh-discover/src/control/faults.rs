//! The stream of faults, opened again whenever it ends.

use super::{Shared, backoff::Backoff, stream::is_transport};
use crate::{
    FaultRule, Publisher,
    wire::mesh_v1::{FaultSet, fault_from_wire, watch_faults},
};
use std::sync::Arc;
use tokio::time::{Instant, sleep};
use tonic::{Status, transport::Channel};

/// The most faults at a time: what exceeds them is ignored with a warning.
const MAX_FAULTS: usize = 256;

/// Publishes the faults of this client until nobody reads them.
///
/// While the controller is unreachable, its last faults stay until they end by themselves.
pub(super) async fn follow(shared: Arc<Shared>, publisher: Publisher<Vec<FaultRule>>) {
    tokio::select! {
        () = publisher.closed() => {}
        () = stay(&shared, &publisher) => {}
    }
}

async fn stay(shared: &Shared, publisher: &Publisher<Vec<FaultRule>>) {
    let mut backoff = Backoff::new(shared.config.backoff);
    let pause = shared.config.refused_pause;
    let mut refused = Backoff::new((pause, pause));
    loop {
        let interest = shared.connection.interest();
        let (generation, channel) = shared.connection.channel().await;
        let heard = || shared.connection.heard(generation);
        let ended = stream(shared, channel, heard, publisher).await;
        let pause = match ended {
            Ok(()) => backoff.pause(),
            Err(status) if is_transport(&status) => {
                shared.connection.broken(generation).await;
                continue;
            }
            Err(status) => {
                tracing::debug!(%status, "the controller has no faults to inject");
                // It is there, but is none of ours, or does not want to say.
                heard();
                refused.pause()
            }
        };
        drop(interest);
        sleep(pause).await;
    }
}

async fn stream(
    shared: &Shared,
    channel: Channel,
    heard: impl Fn(),
    publisher: &Publisher<Vec<FaultRule>>,
) -> Result<(), Status> {
    let token = shared.config.context_token.clone();
    let mut sets = watch_faults(channel, token).await?;
    while let Some(FaultSet { faults }) = sets.message().await? {
        heard();
        if faults.len() > MAX_FAULTS {
            tracing::warn!("more than {MAX_FAULTS} faults");
        }
        let now = Instant::now().into_std();
        let rules = faults.iter().take(MAX_FAULTS);
        publisher.publish(rules.filter_map(|it| fault_from_wire(it, now)).collect());
    }
    Ok(())
}
