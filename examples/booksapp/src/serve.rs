//! Serves a router on `127.0.0.1:$PORT` until a signal ends it.

use anyhow::Context;
use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Listening address of a service.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Listen {
    /// The port on 127.0.0.1
    #[arg(long, env)]
    port: u16,
}

/// Serves `router`, finishing what is in flight after SIGTERM or Ctrl-C.
pub(crate) async fn serve(name: &str, listen: Listen, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", listen.port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{}", listen.port))?;
    println!("{name} listens on {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        })
        .await?;
    Ok(())
}
