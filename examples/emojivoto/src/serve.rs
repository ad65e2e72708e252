//! Serves a router on a port of 127.0.0.1 until a signal ends it.

use anyhow::Context;
use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Listening address of a gRPC service.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Grpc {
    /// The port on 127.0.0.1 that the mesh wants; wins over --grpc-port
    #[arg(long, env)]
    port: Option<u16>,
    /// The port on 127.0.0.1
    #[arg(long, env, default_value_t = 8080)]
    grpc_port: u16,
}

impl Grpc {
    pub(crate) fn port(self) -> u16 {
        self.port.unwrap_or(self.grpc_port)
    }
}

/// Serves `router`, HTTP/1 and HTTP/2, finishing what is in flight after SIGTERM or Ctrl-C.
pub(crate) async fn serve(name: &str, port: u16, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
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
