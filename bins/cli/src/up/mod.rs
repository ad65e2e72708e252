//! `mesh up`: read mesh.yaml, start, restart, stop.

mod adhoc;
mod api;
mod board;
pub(crate) mod config;
mod document;
pub(crate) mod enter;
mod gateway;
mod json;
mod keep;
mod listening;
pub(crate) mod logs;
pub(crate) mod manifests;
mod netns;
mod network;
mod order;
mod plan;
mod ports;
mod preflight;
mod primary;
mod process;
mod program;
mod ready;
mod record;
mod replica;
mod rollout;
pub(crate) mod shim;
mod supervisor;
mod transparent;
mod warnings;

pub(crate) use self::{
    adhoc::{RunRequest, RunTicket},
    api::ApplyRequest,
    netns::connect as connect_within,
    network::{OUTBOUND, check as check_network},
    preflight::{build, check},
    process::{enter, own_program, without_huge_pages},
    replica::FAILURES,
};

use self::{
    api::{Command, Shared},
    board::Board,
    config::Config,
    logs::Logs,
    record::Record,
    supervisor::Supervisor,
};
use crate::client::supervisor::Status;
use anyhow::{Context, Result};
use mesh_controller::StateDir;
use mesh_local::Lock;
use std::{
    fs, io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc},
    time::{Instant, interval_at, sleep, timeout},
};

/// By when everything that was started has ended, or is killed.
const STOP: Duration = Duration::from_millis(3_800);
/// Interval of lines about a start that is not complete.
const PROGRESS: Duration = Duration::from_millis(700);
/// Limit for reaping killed processes.
const REAP: Duration = Duration::from_millis(400);

/// Creates the folders of `state` and takes its lock, if no other `mesh up` has it.
pub(crate) fn lock(state: &StateDir) -> Result<Option<Lock>> {
    let run = state.run();
    fs::create_dir_all(&run).with_context(|| format!("creating {}", run.display()))?;
    let ignore = state.root().join(".gitignore");
    if !ignore.exists() {
        let _ = fs::write(ignore, "run/\nlogs/\n*.sock\n");
    }
    Lock::try_acquire(&run.join("up.lock")).context("locking the state folder")
}

/// Runs the mesh of `config` until it is told to stop.
pub(crate) async fn run(config: Config, state: StateDir, _lock: Lock, terse: bool) -> Result<()> {
    process::without_huge_pages(true);
    let mut signals = Signals::new()?;
    let leftovers = record::end_leftovers(&state.run());
    let logs = Logs::new(&state.root().join("logs"), terse)?;
    if leftovers > 0 {
        logs.say(&format!(
            "the last mesh left processes behind, which were ended: {leftovers}"
        ));
    }
    let record = Record::new(&state.run())?;
    let board = Board::new(state.workloads(), &config.namespace)?;
    let shared = Arc::new(Shared {
        board: board.clone(),
        logs: logs.clone(),
        status: Mutex::new(Status {
            pid: std::process::id(),
            file: config.file.clone(),
            namespace: config.namespace.clone(),
            transparent: config.transparent,
            ..Status::default()
        }),
        stop: Notify::new(),
    });
    signals.shared = Some(Arc::clone(&shared));
    let socket = state.root().join("up.sock");
    let (ask, commands) = mpsc::channel(16);
    let api = tokio::spawn(api::serve(api::bind(&socket)?, Arc::clone(&shared), ask));

    let started = tokio::select! {
        started = Supervisor::start(config, state.clone(), logs.clone(), record.clone(), board) => Some(started),
        () = signals.next() => None,
    };
    let outcome = match started {
        Some(Ok(mut supervisor)) => {
            watch(&mut supervisor, commands, &shared, &mut signals).await;
            logs.say("stopping; once more to kill");
            tokio::select! {
                _ = timeout(STOP, supervisor.stop()) => {}
                () = signals.next() => {}
            }
            Ok(())
        }
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    api.abort();
    end(&record).await;
    let _ = fs::remove_file(socket);
    let _ = fs::remove_file(state.run().join("up.json"));
    // The last lines are on their way to the terminal.
    logs.flush();
    outcome
}

/// Serves commands until the word to stop.
async fn watch(
    supervisor: &mut Supervisor,
    mut commands: mpsc::Receiver<Command>,
    shared: &Shared,
    signals: &mut Signals,
) {
    let mut announced = false;
    // A start that takes a moment says nothing.
    let mut looks = interval_at(Instant::now() + PROGRESS, PROGRESS);
    let mut said = String::new();
    loop {
        let ready = supervisor.is_ready();
        let progress = supervisor.progress();
        shared.set_status(|status| {
            status.ready = ready;
            status.urls = supervisor.urls();
            status.notes = supervisor.notes().to_vec();
            status.progress.clone_from(&progress);
            status.file.clone_from(&supervisor.config().file);
        });
        if ready && !announced {
            announced = true;
            for url in supervisor.urls() {
                shared.logs.say(&url);
            }
            shared.logs.say("everything is ready");
        }
        tokio::select! {
            () = signals.next() => return,
            () = supervisor.changed() => {}
            _ = looks.tick(), if !ready => if progress != said {
                shared.logs.say(&progress);
                said = progress;
            },
            Some(command) = commands.recv() => tokio::select! {
                () = obey(supervisor, command, &shared.logs) => {}
                () = signals.next() => return,
            },
        }
    }
}

/// The answer to a command may find nobody who still waits for it, which is fine.
async fn obey(supervisor: &mut Supervisor, command: Command, logs: &Logs) {
    match command {
        Command::Apply(config, reply) => {
            let applied = supervisor.apply(*config).await;
            for change in applied.iter().flatten() {
                logs.say(change);
            }
            let _ = reply.send(applied);
        }
        Command::Restart(name, reply) => {
            logs.say(&format!("{name} restarts: `mesh restart`"));
            let _ = reply.send(supervisor.restart(&name).await);
        }
        Command::Scale(request, reply) => {
            let (name, replicas) = (&request.name, request.replicas);
            logs.say(&format!("{name} scales to {replicas}: `mesh scale`"));
            let _ = reply.send(supervisor.scale(&request).await);
        }
        Command::SetRevision(request, reply) => {
            let _ = reply.send(supervisor.set_revision(&request).await);
        }
        Command::SetEnv(request, reply) => {
            let _ = reply.send(supervisor.set_env(&request).await);
        }
        Command::SetPrimary(request, reply) => {
            let _ = reply.send(supervisor.set_primary(&request).await);
        }
        Command::Run(request, reply) => {
            let ticket = supervisor.run(&request);
            let granted = ticket.as_ref().ok().cloned();
            if let (Err(_), Some(ticket)) = (reply.send(ticket), granted) {
                adhoc::end(supervisor, &ticket).await;
            }
        }
        Command::EndRun(ticket) => adhoc::end(supervisor, &ticket).await,
    }
}

/// Waits for what has been told to end, and kills what does not.
async fn end(record: &Record) {
    let give_up = Instant::now() + REAP;
    while !record.processes().is_empty() && Instant::now() < give_up {
        sleep(Duration::from_millis(10)).await;
    }
    for process in record.processes() {
        if process.mark.is_alive() {
            process::kill_group(Some(process.mark.pid));
        }
    }
    let give_up = Instant::now() + REAP;
    while !record.processes().is_empty() && Instant::now() < give_up {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whatever means stop: Ctrl-C, SIGTERM, a terminal that is closed, `mesh down`.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    shared: Option<Arc<Shared>>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            shared: None,
        })
    }

    async fn next(&mut self) {
        let asked = async {
            match &self.shared {
                Some(shared) => shared.stop.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
            () = asked => {}
        }
    }
}
