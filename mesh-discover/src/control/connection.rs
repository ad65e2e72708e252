use super::{ControlConfig, backoff::Backoff};
use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};
use tonic::transport::{Channel, Endpoint};

/// HTTP/2 ping interval, and the wait for the reply: together they detect a controller that is
/// gone without closing the connection.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection to the controller, re-established with a backoff.
///
/// It has no task: the first caller that needs the connection makes it, and other callers wait for
/// the same attempt.
#[derive(Debug)]
pub(super) struct Connection {
    endpoint: Endpoint,
    state: Mutex<ChannelState>,
    health: std::sync::Mutex<Health>,
}

/// State of the connection for health reports.
#[derive(Debug, Default)]
struct Health {
    /// The generation of the present connection, if there is one.
    present: Option<u64>,
    /// True once the controller has sent a message on it.
    up: bool,
    /// Time since which the controller is silent while there is interest.
    lost: Option<Instant>,
    /// Number of [`Interest`] values.
    interested: usize,
}

/// Keeps the loss of the controller reported until it is dropped.
#[derive(Debug)]
pub(super) struct Interest<'a>(&'a Connection);

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        let mut health = self.0.health();
        health.interested -= 1;
        if health.interested == 0 {
            // No stream would notice that it is back.
            health.lost = None;
        }
    }
}

#[derive(Debug)]
struct ChannelState {
    channel: Option<Channel>,
    /// Number of the connection, so that a stream of an earlier one cannot report this one broken.
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
            state: Mutex::new(ChannelState {
                channel: None,
                generation: 0,
                backoff: Backoff::new(config.backoff),
                not_before: None,
            }),
            health: std::sync::Mutex::default(),
        }
    }

    /// Registers a caller that waits for messages of the controller.
    pub(super) fn interest(&self) -> Interest<'_> {
        self.health().interested += 1;
        Interest(self)
    }

    /// Records a message on the connection `generation`. Messages of an earlier connection are
    /// ignored.
    pub(super) fn heard(&self, generation: u64) {
        let mut health = self.health();
        if health.present == Some(generation) {
            health.up = true;
            health.lost = None;
        }
    }

    /// The time since which the controller is silent while there is interest.
    pub(super) fn lost_since(&self) -> Option<Instant> {
        self.health().lost
    }

    /// Returns true if the controller has sent a message on the current connection.
    pub(super) fn is_up(&self) -> bool {
        self.health().up
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // Nothing panics while holding the lock.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, once there is one. Cancel safe: another waiter goes on.
    pub(super) async fn channel(&self) -> (u64, Channel) {
        let mut state = self.state.lock().await;
        {
            let mut health = self.health();
            if !health.up {
                health.lost.get_or_insert_with(Instant::now);
            }
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
                    self.health().present = Some(state.generation);
                }
                Err(error) => {
                    tracing::debug!(controller = %self.endpoint.uri(), %error, "cannot connect");
                    state.delay();
                }
            }
        }
    }

    /// Reports that the connection `generation` is broken.
    pub(super) async fn broken(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation && state.channel.take().is_some() {
            tracing::info!(
                controller = %self.endpoint.uri(),
                "lost the controller; keeping its last answers"
            );
            let was_up = {
                let mut health = self.health();
                health.present = None;
                health.lost.get_or_insert_with(Instant::now);
                std::mem::take(&mut health.up)
            };
            // The backoff keeps growing for a controller that accepts connections and sends nothing.
            if was_up {
                state.backoff.reset();
            }
            state.delay();
        }
    }
}

impl ChannelState {
    fn delay(&mut self) {
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// The kernel accepts connections by itself, which is all that is needed.
    fn listening() -> (TcpListener, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let mut config = ControlConfig::new(&addr).unwrap();
        config.backoff = (Duration::ZERO, Duration::ZERO);
        (listener, Connection::new(&config))
    }

    #[tokio::test]
    async fn a_message_of_a_broken_connection_does_not_mark_the_next_as_up() {
        let (_listener, connection) = listening();
        let _interest = connection.interest();
        let (first, _) = connection.channel().await;
        connection.heard(first);
        assert!(connection.is_up() && connection.lost_since().is_none());

        // One stream reports it broken; another still reads earlier messages.
        connection.broken(first).await;
        connection.heard(first);
        connection.broken(first).await;
        assert!(!connection.is_up() && connection.lost_since().is_some());

        let (second, _) = connection.channel().await;
        connection.heard(first);
        assert!(!connection.is_up() && connection.lost_since().is_some());
        connection.heard(second);
        assert!(connection.is_up() && connection.lost_since().is_none());
    }

    #[tokio::test]
    async fn a_controller_without_interest_is_not_lost() {
        let (_listener, connection) = listening();
        let (first, second) = (connection.interest(), connection.interest());
        let (generation, _) = connection.channel().await;
        connection.heard(generation);
        connection.broken(generation).await;
        drop(first);
        assert!(connection.lost_since().is_some());
        drop(second);
        assert!(connection.lost_since().is_none());
    }
}
