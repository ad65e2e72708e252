//! One child process: started with a lifeline, watched, stopped.

use super::{enter::Within, logs::Logs, record::Record, shim};
use crate::process_id::pid_of;
use rustix::process::{Signal, kill_process_group};
use std::{
    ffi::OsString,
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

/// Limit for reaping a killed child.
const REAP: Duration = Duration::from_millis(500);

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spec {
    /// This program, as a sidecar or controller that heeds its lifeline by itself.
    Mesh {
        /// The arguments.
        args: Vec<String>,
        /// Its pod, if it has one.
        within: Option<Within>,
    },
    /// Somebody's program, under a shim.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// Its working directory.
        dir: PathBuf,
        /// Variables on top of those of `mesh up`.
        env: Vec<(String, String)>,
        /// True for a standard input that stays open, false for an empty one.
        stdin: bool,
        /// From SIGTERM to SIGKILL.
        grace: Duration,
        /// Its pod, if it has one.
        within: Option<Within>,
    },
}

/// Exit of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started.
    NotStarted(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::NotStarted(reason) => write!(f, "could not be started: {reason}"),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// A running child. Dropping it lets go of its lifeline, upon which it ends.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    lifeline: Option<Lifeline>,
    record: Record,
}

#[derive(Debug)]
enum Lifeline {
    /// Held open and silent.
    Plain(#[allow(dead_code, reason = "its drop is what it is for")] StdUnixStream),
    /// Read by a task that ends when the shim does; its abort closes the socket.
    Shim {
        reader: JoinHandle<()>,
        report: watch::Receiver<ShimReport>,
    },
}

/// The latest report of a shim about its program.
#[derive(Clone, Debug, Default)]
struct ShimReport {
    pid: Option<u32>,
    ended: Option<Ended>,
}

impl Process {
    /// Starts `spec` in a process group of its own, so that a terminal's Ctrl-C does not reach
    /// it, with its output going to `logs` under `name`.
    pub(crate) fn start(name: &str, spec: &Spec, logs: &Logs, record: &Record) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let (Spec::Mesh { within, .. } | Spec::Program { within, .. }) = spec;
        let mut command = enter(within.as_ref());
        command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        match spec {
            // Its lines go to files, too.
            Spec::Mesh { args, .. } => command.args(args).env("NO_COLOR", "1"),
            Spec::Program {
                command: program,
                dir,
                env,
                stdin,
                grace,
                ..
            } => command
                .args(shim::args(*grace, *stdin, program))
                .current_dir(dir)
                .envs(env.iter().map(|(name, value)| (name, value))),
        };
        let mut child = command.spawn()?;
        // Our copy of their end: with it open, they would wait for an end that never comes.
        drop(command);

        if let Some(pid) = child.id() {
            record.add(name, pid);
        }
        if let Some(stdout) = child.stdout.take() {
            logs.follow(name, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            logs.follow(name, stderr);
        }
        let lifeline = match spec {
            Spec::Mesh { .. } => Lifeline::Plain(ours),
            Spec::Program { .. } => {
                ours.set_nonblocking(true)?;
                let (tell, report) = watch::channel(ShimReport::default());
                let stream = UnixStream::from_std(ours)?;
                let reader = tokio::spawn(listen(stream, tell, name.to_owned(), record.clone()));
                Lifeline::Shim { reader, report }
            }
        };
        Ok(Self {
            name: name.to_owned(),
            child,
            lifeline: Some(lifeline),
            record: record.clone(),
        })
    }

    /// The process people mean: the program, not its shim.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.lifeline {
            Some(Lifeline::Shim { report, .. }) => report.borrow().pid,
            _ => self.child.id(),
        }
    }

    /// As [`pid`](Self::pid), waiting for the shim to tell.
    pub(crate) async fn pid_once_known(&self) -> Option<u32> {
        if let Some(Lifeline::Shim { report, .. }) = &self.lifeline {
            let mut report = report.clone();
            let _ = report.wait_for(|report| report.pid.is_some()).await;
        }
        self.pid()
    }

    /// Waits for the end. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ended {
        let pid = self.child.id();
        let status = self.child.wait().await;
        let mut ended = match status {
            Ok(status) => status.into(),
            Err(error) => Ended::NotStarted(error.to_string()),
        };
        if let Some(Lifeline::Shim { reader, report }) = &mut self.lifeline {
            // Its last report may still be in the socket, and is more exact than an exit status.
            let _ = reader.await;
            let report = report.borrow();
            match &report.ended {
                Some(end) => ended = end.clone(),
                // The shim itself was killed: what it was to look after goes with it.
                None => kill_group(report.pid),
            }
            self.record.remove(&self.name, report.pid);
        }
        self.lifeline = None;
        self.record.remove(&self.name, pid);
        ended
    }

    /// Asks for an end, and enforces it after `limit`.
    pub(crate) async fn stop(mut self, limit: Duration) -> Ended {
        let program = self.pid();
        match &self.lifeline {
            Some(Lifeline::Shim { report, .. }) => {
                // The signal that the shim would send; the socket stays open, to hear how it ended.
                let report = report.borrow().clone();
                if let Some(pid) = report.pid.and_then(pid_of) {
                    let _ = kill_process_group(pid, Signal::TERM);
                } else {
                    self.lifeline = None;
                }
            }
            _ => self.lifeline = None,
        }
        if let Ok(ended) = tokio::time::timeout(limit, self.ended()).await {
            return ended;
        }
        kill_group(program);
        if let Ok(ended) = tokio::time::timeout(REAP, self.ended()).await {
            return ended;
        }
        kill_group(self.child.id());
        self.ended().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(Lifeline::Shim { reader, .. }) = &self.lifeline {
            reader.abort();
        }
    }
}

async fn listen(stream: UnixStream, tell: watch::Sender<ShimReport>, name: String, record: Record) {
    let mut lines = BufReader::with_capacity(256, stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (what, rest) = line.split_once(' ').unwrap_or((&line, ""));
        tell.send_modify(|report| match what {
            "pid" => {
                report.pid = rest.parse().ok();
                if let Some(pid) = report.pid {
                    record.add(&name, pid);
                }
            }
            "exit" => report.ended = rest.parse().ok().map(Ended::Code),
            "signal" => report.ended = rest.parse().ok().map(Ended::Signal),
            "error" => report.ended = Some(Ended::NotStarted(rest.to_owned())),
            _ => {}
        });
    }
}

/// Returns a command of this program, in its pod if it has one.
pub(crate) fn enter(within: Option<&Within>) -> Command {
    let own = own_program();
    match within {
        // What it mounts there is for itself.
        Some(within) if within.hosts.is_some() => {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "--"]);
            command.arg(match own == "/proc/self/exe" {
                true => format!("/proc/{}/exe", std::process::id()).into(),
                false => own,
            });
            command.args(within.args());
            command
        }
        _ => {
            let mut command = Command::new(own);
            command.arg0("mesh");
            command.args(within.iter().flat_map(|within| within.args()));
            command
        }
    }
}

/// Keeps huge pages away from this process and from all it starts, or allows them again.
///
/// Where they are always on, as in Debian's kernels, a heap or stack of half a megabyte occupies
/// at least two. Programs of others are given back what they would have had.
pub(crate) fn without_huge_pages(without: bool) {
    // Where the kernel knows nothing of it, there is nothing to save.
    let _ = rustix::thread::disable_transparent_huge_pages(without);
}

/// Kills every process of the group that `pid` leads.
pub(crate) fn kill_group(pid: Option<u32>) {
    if let Some(pid) = pid.and_then(pid_of) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// This program's file; through `/proc` when it was replaced or removed since it started, so
/// that children are of the same version as their parent.
pub(crate) fn own_program() -> OsString {
    use std::{fs::metadata, os::unix::fs::MetadataExt};
    let running = metadata("/proc/self/exe").map(|file| (file.dev(), file.ino()));
    if let Ok(path) = std::env::current_exe()
        && let Ok(file) = metadata(&path)
        && running.is_ok_and(|running| running == (file.dev(), file.ino()))
    {
        return path.into();
    }
    "/proc/self/exe".into()
}
