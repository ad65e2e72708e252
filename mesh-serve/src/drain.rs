//! The end of a server: connections finish what they have begun.

use std::time::Duration;
use tokio::sync::watch;

/// Time until clients know that this server is leaving, after it was withdrawn from discovery or at
/// the same moment.
const GRACE: Duration = Duration::from_millis(500);

/// Tells connections to finish, and waits until they have.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<bool>,
}

/// Held by whatever must finish before the program may end.
#[derive(Clone, Debug)]
pub struct Draining {
    phase: watch::Receiver<bool>,
}

/// A drain, and the end that its connections hold.
pub fn channel() -> (Drain, Draining) {
    let (phase, receiver) = watch::channel(false);
    (Drain { phase }, Draining { phase: receiver })
}

impl Drain {
    /// Begins: every [`Draining::started`] resolves.
    pub fn start(&self) {
        self.phase.send_replace(true);
    }

    /// Waits until every [`Draining`] is gone; false when `limit` passed before.
    pub async fn finished(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.phase.closed())
            .await
            .is_ok()
    }
}

impl Draining {
    /// Returns true once the drain has begun.
    pub fn has_started(&self) -> bool {
        *self.phase.borrow()
    }

    /// Returns true if the drain began since this was last waited for; costs one load.
    pub fn has_news(&self) -> bool {
        self.phase.has_changed().unwrap_or(true)
    }

    /// Resolves when the drain begins; at once if it has.
    pub async fn started(&mut self) {
        // An error is a dropped `Drain`: the program is ending, too.
        let _ = self.phase.wait_for(|draining| *draining).await;
    }

    /// Resolves 500 ms after the drain began: by then clients know that this server is leaving, and
    /// nothing is under way any more on connections that are silent.
    pub async fn after_grace(&mut self) {
        self.started().await;
        tokio::time::sleep(GRACE).await;
    }
}
