//! `mesh run`.

use crate::{
    args::Global,
    client::{Client, Lines},
    up::{self, RunRequest, RunTicket},
};
use anyhow::{Context, Result, bail};
use rustix::process::{Signal, kill_process};
use std::{
    io::{self, IsTerminal},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{ExitCode, ExitStatus},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    process::Child,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, timeout},
};

/// Limit for the sidecar to become ready.
const SIDECAR: Duration = Duration::from_secs(10);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Mesh one command into the running mesh, for as long as it runs
///
/// Exits as the command did. In a transparent mesh the command gets a network as a replica has: it finds
/// the services by name, and all of its connections pass through its sidecar.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    mesh run --name web --port 8080 -- sh -c 'python3 -m http.server $PORT'\n  \
    mesh run -- curl http://books:7002/books.json")]
pub(crate) struct Args {
    /// The name of the workload [default: that of the program]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The name of its service [default: NAME]
    #[arg(long, value_name = "SERVICE", requires = "port")]
    service: Option<String>,
    /// The service port; the program itself listens on 127.0.0.1:$PORT
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Where a program listens that does not take $PORT
    #[arg(long, value_name = "PORT", requires = "port", value_parser = clap::value_parser!(u16).range(1..))]
    listen: Option<u16>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = Client::supervisor(global)?;
    let name = match args.name {
        Some(name) => name,
        None => name_of(&args.command[0]),
    };
    let request = RunRequest {
        name,
        service: args.service,
        port: args.port,
        listen: args.listen,
        pid: std::process::id(),
    };
    let mut mesh = client.admit(&request).await?;
    let ticket = mesh
        .next()
        .await?
        .context("the mesh closed the connection")?;
    let ticket: RunTicket = serde_json::from_str(&ticket).context("reading the mesh's answer")?;
    wait_for_sidecar(&ticket).await?;

    let pid = std::process::id().to_string();
    let mut child = up::enter(ticket.within.as_ref())
        .args(["shim", up::shim::ATTACHED, &pid])
        .args(&args.command)
        .envs(&ticket.env)
        .spawn()
        .context("starting the command")?;
    let status = attend(&mut child, &mut mesh).await?;
    Ok(exit_code(status))
}

/// Waits for the end of the command, the mesh or this process's welcome.
async fn attend(child: &mut Child, mesh: &mut Lines) -> Result<ExitStatus> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            () = until_end(mesh) => {
                end(child).await?;
                bail!("the mesh has ended");
            }
            // From a terminal, the command got it too and knows what to do.
            _ = interrupt.recv() => if !std::io::stdin().is_terminal() {
                return end(child).await;
            },
            _ = terminate.recv() => return end(child).await,
            _ = hangup.recv() => return end(child).await,
        }
    }
}

async fn until_end(mesh: &mut Lines) {
    while let Ok(Some(_)) = mesh.next().await {}
}

async fn end(child: &mut Child) -> Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(crate::process_id::pid_of) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return Ok(status?);
    }
    child.start_kill()?;
    Ok(child.wait().await?)
}

async fn wait_for_sidecar(ticket: &RunTicket) -> Result<()> {
    if let Some(within) = &ticket.within {
        let addr = (Ipv4Addr::LOCALHOST, up::OUTBOUND).into();
        let connect = || up::connect_within(&within.network, addr, SIDECAR);
        return until_it_accepts(ticket, connect).await;
    }
    let proxy = ticket.env.get("http_proxy").map(String::as_str);
    let addr = proxy.and_then(|proxy| proxy.strip_prefix("http://"));
    let addr: SocketAddr = addr
        .and_then(|addr| addr.parse().ok())
        .context("the supervisor's response names no proxy")?;
    until_it_accepts(ticket, || TcpStream::connect(addr)).await
}

async fn until_it_accepts<F>(ticket: &RunTicket, connect: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = io::Result<TcpStream>>,
{
    let give_up = Instant::now() + SIDECAR;
    while connect().await.is_err() {
        if Instant::now() > give_up {
            bail!(
                "the sidecar of {} does not start; see `mesh logs {}`",
                ticket.pod,
                ticket.workload
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A name that can be part of a host name, from a program's.
pub(super) fn name_of(program: &str) -> String {
    let file = Path::new(program).file_name().unwrap_or_default();
    let name: String = file
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    match name.trim_matches('-') {
        "" => "run".to_owned(),
        name => name.to_owned(),
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gives_its_name() {
        for (program, name) in [
            ("/usr/bin/python3", "python3"),
            ("My_App.sh", "my-app-sh"),
            ("./---", "run"),
        ] {
            assert_eq!(name_of(program), name);
        }
    }
}
