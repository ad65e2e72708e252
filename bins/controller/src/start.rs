use crate::{Args, Config, Controller};
use anyhow::{Context, Result};
use mesh_local::lifeline;
use std::io;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing_subscriber::EnvFilter;

/// The whole program: logs to standard error, and serves until SIGTERM, SIGINT or, with
/// `--lifeline`, the end of standard input.
///
/// # Errors
///
/// Those of [`run`](crate::run()), and a log filter that is none.
pub fn start(args: Args) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {}", args.log))?;
    // Somebody else's, if there is one already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .without_time()
        .try_init();
    let lifeline = args.lifeline;
    let config = Config::from(args);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // The thread begins after the socket is there: see `mesh_local::socket::bind`.
        let controller = Controller::open(config).await?;
        let cut = lifeline.then(watch_lifeline).transpose()?;
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = end(cut) => {}
            }
        };
        controller.serve(shutdown).await
    })
}

async fn end(cut: Option<oneshot::Receiver<()>>) {
    match cut {
        Some(cut) => drop(cut.await),
        None => std::future::pending().await,
    }
}

/// Waits for the end of standard input.
fn watch_lifeline() -> Result<oneshot::Receiver<()>> {
    let (cut, ended) = oneshot::channel();
    let end = move || {
        let _ = cut.send(());
    };
    lifeline::watch(io::stdin(), end).context("cannot start a thread")?;
    Ok(ended)
}
