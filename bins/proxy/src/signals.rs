use mesh_local::lifeline;
use std::io;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// Requests to stop a proxy: the first one drains it, the second one ends it at once.
#[derive(Debug)]
pub struct Shutdown {
    asked: mpsc::Receiver<()>,
}

/// The asking end of a [`Shutdown`].
#[derive(Clone, Debug)]
pub struct Ask(mpsc::Sender<()>);

impl Shutdown {
    /// Asked for by whoever has the other end.
    pub fn channel() -> (Ask, Self) {
        // Two are all that have a meaning.
        let (sender, asked) = mpsc::channel(2);
        (Ask(sender), Self { asked })
    }

    /// Resolves each time somebody asks, and never when nobody can any more.
    pub(crate) async fn asked(&mut self) {
        if self.asked.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Ask {
    /// Asks.
    pub fn ask(&self) {
        let _ = self.0.try_send(());
    }
}

/// Passes SIGTERM and SIGINT on. Needs a runtime, and lives as long as that.
pub(crate) fn forward_signals(ask: &Ask) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        tokio::spawn(forward(signal(kind)?, ask.clone()));
    }
    Ok(())
}

async fn forward(mut signal: Signal, ask: Ask) {
    while signal.recv().await.is_some() {
        ask.ask();
    }
}

/// Asks when standard input reaches its end: whoever started the proxy is gone.
pub(crate) fn forward_lifeline(ask: Ask) -> io::Result<()> {
    lifeline::watch(io::stdin(), move || ask.ask())
}
