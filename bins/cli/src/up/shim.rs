//! `mesh shim`: the small parent of every program, so that none outlives the mesh.
//!
//! `mesh up` may be killed at any time, and a program it started knows nothing of it. So each
//! program gets a parent that holds one end of a socket pair as its standard input, the
//! *lifeline*. When the other end is gone the program is asked to stop (SIGTERM), and killed with
//! everything it started when it does not. The shim reports on the same socket: `pid N`, then
//! `exit N` or `signal N`, or `error TEXT` when the program cannot be started.
//!
//! One process per replica: it blocks, allocates next to nothing and starts no runtime.

use mesh_local::lifeline;
use rustix::process::{self, Pid, Signal, WaitOptions, WaitStatus};
use std::{
    ffi::OsString,
    fmt, fs, io,
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Grace period of child processes that outlive their program.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);
/// Interval for checking whether a process group is empty.
const TICK: Duration = Duration::from_millis(10);

/// The command line, when `args` are those of a shim.
pub(crate) fn invoked(args: &[OsString]) -> Option<&[OsString]> {
    let (command, rest) = args.split_first()?;
    (command == "shim").then_some(rest)
}

/// In the place of the grace time: the program takes the place of the shim, keeps its terminal,
/// and is told to stop when the process whose pid comes next is gone.
pub(crate) const ATTACHED: &str = "attached";

/// Standard input of a program that is a pipe on which nothing ever comes, and which stays open: a
/// watcher that ends with its input goes on.
const OPEN: &str = "open";
/// Standard input of a program that is empty: `/dev/null`.
const EMPTY: &str = "empty";

/// The arguments that make a `mesh` process the shim of `command`, whose standard input is open if
/// `stdin` and empty otherwise.
pub(crate) fn args(grace: Duration, stdin: bool, command: &[String]) -> Vec<OsString> {
    let stdin = if stdin { OPEN } else { EMPTY };
    let grace = grace.as_millis().to_string();
    let mut args = vec!["shim".into(), grace.into(), stdin.into()];
    args.extend(command.iter().map(OsString::from));
    args
}

/// Runs `GRACE_MS open|empty PROGRAM ARGS...` to its end and exits as it did.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    if let [mode, parent, program, rest @ ..] = args
        && mode == ATTACHED
    {
        return attached(parent, program, rest);
    }
    let [grace, stdin, program, rest @ ..] = args else {
        return usage();
    };
    let (Some(grace), Some(stdin @ (OPEN | EMPTY))) = (
        grace.to_str().and_then(|grace| grace.parse().ok()),
        stdin.to_str(),
    ) else {
        return usage();
    };
    // Programs that daemonise are reparented to the shim, not to init, and so end with it.
    let _ = process::set_child_subreaper(Some(process::getpid()));
    super::process::without_huge_pages(false);
    let started = Command::new(program)
        .args(rest)
        .stdin(match stdin {
            OPEN => Stdio::piped(),
            _ => Stdio::null(),
        })
        .process_group(0)
        .spawn();
    // Its end of the pipe is held until the program has ended.
    let (leader, _open) = match started {
        Ok(mut child) => (Pid::from_child(&child), child.stdin.take()),
        Err(error) => {
            report(format_args!("error {error}"));
            return ExitCode::from(127);
        }
    };
    report(format_args!("pid {leader}"));

    let ended = Arc::new(AtomicBool::new(false));
    watch_lifeline(leader, Duration::from_millis(grace), Arc::clone(&ended));
    let status = wait_for(leader);
    ended.store(true, Ordering::Release);
    end_leftovers(leader);
    report_end(status)
}

fn usage() -> ExitCode {
    eprintln!("usage: mesh shim GRACE_MS open|empty PROGRAM [ARGS...]");
    ExitCode::from(2)
}

/// Becomes `program`.
fn attached(parent: &OsString, program: &OsString, args: &[OsString]) -> ExitCode {
    let bound = process::set_parent_process_death_signal(Some(Signal::TERM));
    let is_orphan =
        process::getppid().map(|pid| pid.to_string()) != parent.to_str().map(str::to_owned);
    if bound.is_err() || is_orphan {
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).args(args).exec();
    eprintln!("Error: cannot start {}: {error}", program.display());
    ExitCode::from(127)
}

/// Ends the group of `leader` when standard input does.
fn watch_lifeline(leader: Pid, grace: Duration, ended: Arc<AtomicBool>) {
    let end = move || {
        if !ended.load(Ordering::Acquire) {
            let _ = process::kill_process_group(leader, Signal::TERM);
            thread::sleep(grace);
            // The main thread ends this process as soon as the program has ended.
            let _ = process::kill_process_group(leader, Signal::KILL);
        }
    };
    if lifeline::watch(io::stdin(), end).is_err() {
        // Without a watch nothing would end the program; better not to have it at all.
        let _ = process::kill_process_group(leader, Signal::KILL);
    }
}

/// Waits for `leader`, reaping whatever else was reparented to this process meanwhile.
fn wait_for(leader: Pid) -> Option<WaitStatus> {
    loop {
        match process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == leader => return Some(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Ends what the program started and did not wait for: first its group, then who left it.
fn end_leftovers(leader: Pid) {
    if process::kill_process_group(leader, Signal::TERM).is_ok() {
        let mut waited = Duration::ZERO;
        while waited < LEFTOVER_GRACE && process::test_kill_process_group(leader).is_ok() {
            while matches!(process::wait(WaitOptions::NOHANG), Ok(Some(_))) {}
            thread::sleep(TICK);
            waited += TICK;
        }
        let _ = process::kill_process_group(leader, Signal::KILL);
    }
    // Each round kills one generation; its children are reparented here for the next.
    for _ in 0..64 {
        while matches!(process::wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = process::kill_process(child, Signal::KILL);
        }
        thread::sleep(TICK);
    }
}

fn children() -> Vec<Pid> {
    let path = format!("/proc/self/task/{}/children", process::getpid());
    fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

fn report_end(status: Option<WaitStatus>) -> ExitCode {
    if let Some(signal) = status.and_then(WaitStatus::terminating_signal) {
        report(format_args!("signal {signal}"));
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(1));
    }
    let code = status.and_then(WaitStatus::exit_status).unwrap_or(1);
    report(format_args!("exit {code}"));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Tells the other end, if there still is one.
fn report(what: fmt::Arguments<'_>) {
    let line = format!("{what}\n");
    let _ = rustix::io::write(io::stdin(), line.as_bytes());
}
