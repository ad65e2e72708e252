//! `mesh up`.

use crate::{
    args::Global,
    client::{
        Client, STATE_DIR,
        supervisor::{Problem, Status},
    },
    up::{self, ApplyRequest, FAILURES, config::Config},
};
use anyhow::{Context, Result, bail};
use mesh_controller::StateDir;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Limit for a mesh to become ready.
const READY: Duration = Duration::from_secs(120);
/// A start that takes no longer says nothing of its progress.
const QUIET: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(25);

/// Start the workloads of a mesh.yaml, each with its sidecar
///
/// Against a mesh that is running already, changes it to what the file says now, restarts only
/// what changed, and returns. Otherwise it stays until Ctrl-C, which stops everything within five
/// seconds; a second Ctrl-C kills.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh up examples/booksapp\n  mesh up -d examples/booksapp")]
pub(crate) struct Args {
    /// The folder of a mesh.yaml, or such a file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Return when everything is ready, and let it run
    #[arg(short = 'd', long)]
    detach: bool,
    /// Give each replica a network of its own, where the firewall leads its calls through the
    /// sidecar; needs root
    #[arg(long)]
    transparent: bool,
    /// Where the mesh keeps its state [default: .mesh beside the file]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Runs in the background process that `-d` starts.
    #[arg(long, hide = true)]
    detached: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    if args.detached {
        // A session of its own: the terminal may close.
        let _ = rustix::process::setsid();
    }
    let mut config = Config::read(&args.path)?.in_namespace(global.namespace.as_deref());
    config.transparent = args.transparent;
    if config.transparent {
        up::check_network()?;
    }
    let state = match &args.state_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => config.dir().join(STATE_DIR),
    };
    let state = StateDir::new(state);
    let Some(lock) = up::lock(&state)? else {
        return change(&config, &state, global).await;
    };
    if !args.detached {
        up::build(&config)?;
    }
    up::check(&config)?;
    if args.detach {
        drop(lock);
        return detach(&config, &state, global).await;
    }
    up::run(config, state, lock, args.detached).await?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a running mesh follow `config`.
async fn change(config: &Config, state: &StateDir, global: &Global) -> Result<ExitCode> {
    up::build(config)?;
    let client = Client::supervisor_in(state.root());
    if config.transparent && !client.status().await?.transparent {
        bail!("the mesh runs without --transparent; stop it with `mesh down` first");
    }
    let request = ApplyRequest {
        file: config.file.clone(),
        namespace: global.namespace.clone(),
    };
    let changes = client.follow(&request).await?;
    let mut out = io::stdout().lock();
    if changes.is_empty() {
        writeln!(out, "the mesh is running; nothing changed")?;
    }
    for change in &changes {
        writeln!(out, "{change}")?;
    }
    wait(&client, None, state).await
}

/// Starts a mesh that outlives this command, and waits until it is ready or has failed.
async fn detach(config: &Config, state: &StateDir, global: &Global) -> Result<ExitCode> {
    let logs = state.root().join("logs");
    fs::create_dir_all(&logs)?;
    let log = logs.join("up.log");
    let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut command = Command::new(up::own_program());
    command
        .args(["up", "--detached", "--state-dir"])
        .args([state.root(), &config.file]);
    if config.transparent {
        command.arg("--transparent");
    }
    if let Some(namespace) = &global.namespace {
        command.args(["--namespace", namespace]);
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("starting the mesh")?;
    wait(
        &Client::supervisor_in(state.root()),
        Some((child, &log)),
        state,
    )
    .await
}

/// Waits until everything is ready, and says so or why not.
async fn wait(
    client: &Client,
    mut child: Option<(Child, &Path)>,
    state: &StateDir,
) -> Result<ExitCode> {
    let started = Instant::now();
    let give_up = started + READY;
    let mut said = String::new();
    loop {
        if let Some((child, log)) = &mut child
            && child.try_wait()?.is_some()
        {
            let said = fs::read_to_string(log).unwrap_or_default();
            let said = said.trim().trim_start_matches("Error: ");
            bail!(
                "{}",
                if said.is_empty() {
                    "the mesh ended"
                } else {
                    said
                }
            );
        }
        // In the first moments nobody listens yet.
        if let Ok(status) = client.status().await {
            // A change that has just been made may not be in the status yet.
            if status.ready {
                print(&status)?;
                return Ok(ExitCode::SUCCESS);
            }
            let failed: Vec<_> = status
                .problems
                .iter()
                .filter(|problem| problem.restarts >= FAILURES)
                .collect();
            if !failed.is_empty() {
                bail!("{}", describe(&failed, state));
            }
            if started.elapsed() >= QUIET && status.progress != said {
                eprintln!("{}", status.progress);
                said = status.progress;
            }
        }
        if Instant::now() > give_up {
            bail!(
                "not everything is ready after {} s: {said}; the mesh goes on trying: see `mesh ps` and \
                 `mesh logs`, or stop it with `mesh down`",
                READY.as_secs()
            );
        }
        sleep(TICK).await;
    }
}

fn print(status: &Status) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in status.notes.iter().chain(&status.urls) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "everything is ready (process {})", status.pid)
}

fn describe(failed: &[&Problem], state: &StateDir) -> String {
    let each = failed.iter().map(|problem| {
        let said = match problem.tail.last() {
            Some(line) => format!(", its last words were: {line}"),
            None => String::new(),
        };
        format!("{} {}{said}", problem.name, problem.why)
    });
    let each: Vec<_> = each.collect();
    format!(
        "{}; the mesh goes on trying: see {}/logs, or stop it with `mesh down`",
        each.join("; "),
        state.root().display()
    )
}
