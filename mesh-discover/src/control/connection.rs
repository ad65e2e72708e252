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
    health: std::sync::Mutex<Health>,
}

/// What is known of the controller.
#[derive(Debug, Default)]
struct Health {
    /// The generation of the present connection, if there is one.
    present: Option<u64>,
    /// Whether the controller has said anything on it.
    up: bool,
    /// Since when it has not, although somebody asks.
    lost: Option<Instant>,
    /// How many ask.
    asking: usize,
}

/// Somebody wants to hear the controller, as long as this lives.
#[derive(Debug)]
pub(super) struct Asking<'a>(&'a Connection);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut health = self.0.health();
        health.asking -= 1;
        if health.asking == 0 {
            // Nobody would find out that it is back.
            health.lost = None;
        }
    }
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
            health: std::sync::Mutex::default(),
        }
    }

    /// Announces somebody who is about to wait for what the controller says.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.health().asking += 1;
        Asking(self)
    }

    /// The controller has said something on the connection `generation`. What was on its way when
    /// that broke says nothing of the next.
    pub(super) fn heard(&self, generation: u64) {
        let mut health = self.health();
        if health.present == Some(generation) {
            health.up = true;
            health.lost = None;
        }
    }

    /// Since when it has not, although somebody asks.
    pub(super) fn lost_since(&self) -> Option<Instant> {
        self.health().lost
    }

    /// Whether the controller has said anything on the present connection.
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

    /// A stream of the connection `generation` found it broken.
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
            // One that accepts connections and says nothing of use is asked ever less often.
            if was_up {
                state.backoff.reset();
            }
            state.delay();
        }
    }
}

impl State {
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
    async fn a_word_of_a_broken_connection_says_nothing_of_the_next() {
        let (_listener, connection) = listening();
        let _asks = connection.ask();
        let (first, _) = connection.channel().await;
        connection.heard(first);
        assert!(connection.is_up() && connection.lost_since().is_none());

        // One stream finds it broken; another one still reads what had come before.
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
    async fn a_controller_that_nobody_asks_is_not_missed() {
        let (_listener, connection) = listening();
        let (asks, asks_too) = (connection.ask(), connection.ask());
        let (generation, _) = connection.channel().await;
        connection.heard(generation);
        connection.broken(generation).await;
        drop(asks);
        assert!(connection.lost_since().is_some());
        drop(asks_too);
        assert!(connection.lost_since().is_none());
    }
}
