use super::{ControlConfig, backoff::Backoff};
use std::{
    sync::{
        MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};
use tonic::transport::{Channel, Endpoint};

/// A controller that answers no ping for this long is gone, even if nobody said so: the time of
/// one ping's interval and of the wait for its answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The one connection to the controller, made again with pauses when it broke.
///
/// There is no task behind it: whoever needs the connection first makes it, and the others wait
/// for the same attempt.
#[derive(Debug)]
pub(super) struct Connection {
    endpoint: Endpoint,
    state: Mutex<State>,
    /// Whether the controller has said anything since it was lost.
    up: AtomicBool,
    lost: std::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct State {
    channel: Option<Channel>,
    /// Counts connections, so that a stream that outlived its own cannot condemn the next.
    generation: u64,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Connection {
    pub(super) fn new(config: &ControlConfig) -> Self {
        let endpoint = Endpoint::from(config.uri.clone())
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        Self {
            endpoint,
            state: Mutex::new(State {
                channel: None,
                generation: 0,
                backoff: Backoff::new(config.backoff),
                not_before: None,
            }),
            up: AtomicBool::new(false),
            lost: std::sync::Mutex::default(),
        }
    }

    /// The controller has said something.
    pub(super) fn heard(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            *self.lost() = None;
        }
    }

    /// Since when it has not, although somebody asks.
    pub(super) fn lost_since(&self) -> Option<Instant> {
        *self.lost()
    }

    fn lost(&self) -> MutexGuard<'_, Option<Instant>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// The connection, once there is one. Cancel safe: another waiter goes on.
    pub(super) async fn channel(&self) -> (u64, Channel) {
        let mut state = self.state.lock().await;
        if state.channel.is_none() {
            self.lost().get_or_insert_with(Instant::now);
        }
        loop {
            if let Some(channel) = &state.channel {
                return (state.generation, channel.clone());
            }
            if let Some(at) = state.not_before {
                sleep_until(at).await;
            }
            match self.endpoint.connect().await {
                Ok(channel) => {
                    tracing::debug!(controller = %self.endpoint.uri(), "connected");
                    state.channel = Some(channel);
                    state.generation += 1;
                }
                Err(error) => {
                    tracing::debug!(controller = %self.endpoint.uri(), %error, "cannot connect");
                    state.delay();
                }
            }
        }
    }

    /// A stream of the connection `generation` found it broken.
    pub(super) async fn broken(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation && state.channel.take().is_some() {
            tracing::info!(
                controller = %self.endpoint.uri(),
                "lost the controller; keeping its last answers"
            );
            // One that accepts connections and says nothing of use is asked ever less often.
            if self.up.swap(false, Ordering::Relaxed) {
                state.backoff.reset();
            }
            self.lost().get_or_insert_with(Instant::now);
            state.delay();
        }
    }
}

impl State {
    fn delay(&mut self) {
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }
}
