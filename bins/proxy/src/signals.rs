use mesh_local::lifeline;
use std::io;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// Requests to stop a proxy: the first one drains it, the second one ends it at once.
#[derive(Debug)]
pub struct Shutdown {
    requests: mpsc::Receiver<()>,
}

/// The sending end of a [`Shutdown`].
#[derive(Clone, Debug)]
pub struct ShutdownHandle(mpsc::Sender<()>);

impl Shutdown {
    /// Creates both ends.
    pub fn channel() -> (ShutdownHandle, Self) {
        // Two are all that have a meaning.
        let (sender, requests) = mpsc::channel(2);
        (ShutdownHandle(sender), Self { requests })
    }

    /// Resolves at each request, and never once all senders are gone.
    pub(crate) async fn requested(&mut self) {
        if self.requests.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl ShutdownHandle {
    /// Requests a shutdown.
    pub fn request(&self) {
        let _ = self.0.try_send(());
    }
}

/// Passes SIGTERM and SIGINT on. Needs a runtime, and lives as long as that.
pub(crate) fn forward_signals(stop: &ShutdownHandle) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        tokio::spawn(forward(signal(kind)?, stop.clone()));
    }
    Ok(())
}

async fn forward(mut signal: Signal, stop: ShutdownHandle) {
    while signal.recv().await.is_some() {
        stop.request();
    }
}

/// Requests a shutdown when standard input ends: the parent process is gone.
pub(crate) fn forward_lifeline(stop: ShutdownHandle) -> io::Result<()> {
    lifeline::watch(io::stdin(), move || stop.request())
}
