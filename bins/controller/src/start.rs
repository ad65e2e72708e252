use crate::{Args, Config, Controller};
use anyhow::{Context, Result};
use std::io::{self, Read};
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
        // The thread begins after the socket is there: see `socket::listen`.
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

/// Reads standard input to its end, in a thread of its own: it may be a terminal or a file,
/// which the runtime cannot wait for, and its mode is shared with whoever started us.
fn watch_lifeline() -> Result<oneshot::Receiver<()>> {
    let (cut, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("lifeline".into())
        .stack_size(64 << 10)
        .spawn(move || {
            let mut stdin = io::stdin().lock();
            let mut ignored = [0; 64];
            while !matches!(stdin.read(&mut ignored), Ok(0) | Err(_)) {}
            let _ = cut.send(());
        })
        .context("cannot start a thread")?;
    Ok(ended)
}
