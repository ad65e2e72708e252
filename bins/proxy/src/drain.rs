use std::time::Duration;
use tokio::sync::watch;

/// How long it takes until the others know. A mesh withdraws an endpoint before it ends its proxy,
/// so that only the way from the controller to the other proxies is left; in Kubernetes both happen
/// at once.
const HEARSAY: Duration = Duration::from_millis(500);

/// Tells everybody to finish, and waits until they have.
#[derive(Debug)]
pub(crate) struct Drain {
    phase: watch::Sender<bool>,
}

/// Held by whatever must finish before the proxy may end.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    phase: watch::Receiver<bool>,
}

pub(crate) fn channel() -> (Drain, Draining) {
    let (phase, receiver) = watch::channel(false);
    (Drain { phase }, Draining { phase: receiver })
}

impl Drain {
    /// Begins: every [`Draining::started`] resolves.
    pub(crate) fn start(&self) {
        self.phase.send_replace(true);
    }

    /// Waits until every [`Draining`] is gone; false when `limit` passed before.
    pub(crate) async fn finished(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.phase.closed())
            .await
            .is_ok()
    }
}

impl Draining {
    /// Whether the drain has begun.
    pub(crate) fn has_started(&self) -> bool {
        *self.phase.borrow()
    }

    /// Whether there is news since this was last asked to wait, at the price of one load.
    pub(crate) fn has_news(&self) -> bool {
        self.phase.has_changed().unwrap_or(true)
    }

    /// Resolves when the drain begins; at once if it has.
    pub(crate) async fn started(&mut self) {
        // An error is a dropped `Drain`: the proxy is ending, too.
        let _ = self.phase.wait_for(|draining| *draining).await;
    }

    /// Resolves when everybody may be expected to have heard that this proxy is leaving, so that
    /// nothing is under way any more on connections that are silent.
    pub(crate) async fn heard(&mut self) {
        self.started().await;
        tokio::time::sleep(HEARSAY).await;
    }
}
