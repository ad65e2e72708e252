//! Keeps one process running: start, wait until it is ready, start again when it ends.

use super::{
    listening,
    logs::Logs,
    process::{Ended, Process, Spec},
    ready::Probe,
    record::Record,
};
use std::{collections::BTreeSet, fs, future::Future, net::SocketAddr, pin::Pin, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval_at, sleep},
};

/// A process that ran this long is stable: its backoff is reset.
const STABLE: Duration = Duration::from_secs(10);
/// Time after which a process that is not ready is reported, and between looks at the reason.
const SLOW: Duration = Duration::from_secs(2);
/// Time between two reports of one process.
const REPORT: Duration = Duration::from_secs(15);
/// Name of the gateway's process.
const GATEWAY: &str = "gateway/proxy";
/// Grace period of a process whose handle was dropped.
const ABANDONED: Duration = Duration::from_secs(1);

/// Description of a process to keep running.
pub(crate) struct Job {
    /// Name in logs and records.
    pub(crate) name: String,
    pub(crate) spec: Spec,
    pub(crate) probe: Probe,
    /// The first start waits for this future, as for dependencies.
    pub(crate) gate: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Listen port on this machine, to explain a failure if another process has taken it.
    pub(crate) port: Option<u16>,
    /// Ports of a program, to explain why it is not ready.
    pub(crate) expects: Option<Expected>,
}

/// Ports that the mesh expects of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Where it should listen.
    pub(crate) listen: u16,
    /// The port of its service, which programs with a fixed port often listen on.
    pub(crate) service: u16,
}

/// State of a kept process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) phase: Phase,
    pub(crate) pid: Option<u32>,
    /// Number of restarts.
    pub(crate) restarts: u32,
    /// Latest reason for not being ready.
    pub(crate) why: Option<String>,
}

impl Status {
    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for its dependencies.
    #[default]
    Waiting,
    Starting,
    Ready,
    /// Has ended, and restarts after a pause.
    BackingOff,
    Stopped,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::BackingOff => "failing",
            Self::Stopped => "stopped",
        }
    }
}

/// Handle of a process that is restarted until the handle is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    stop: watch::Sender<Option<Duration>>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

impl Kept {
    pub(crate) fn start(job: Job, logs: &Logs, record: &Record) -> Self {
        logs.expect(&job.name);
        let (stop, stopped) = watch::channel(None);
        let (updates, status) = watch::channel(Status::default());
        let keeper = Keeper {
            logs: logs.clone(),
            record: record.clone(),
            updates,
        };
        let task = tokio::spawn(keeper.run(job, stopped));
        Self { stop, status, task }
    }

    /// Returns a receiver of the status.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Asks the process to end, kills it after `limit`, and waits for its end.
    pub(crate) async fn stop(mut self, limit: Duration) {
        let _ = self.stop.send(Some(limit));
        let _ = (&mut self.task).await;
    }
}

struct Keeper {
    logs: Logs,
    record: Record,
    updates: watch::Sender<Status>,
}

impl Keeper {
    async fn run(self, job: Job, mut stop: watch::Receiver<Option<Duration>>) {
        let Job {
            name,
            spec,
            probe,
            gate,
            port,
            expects,
        } = job;
        let mut backoff = Backoff::default();
        tokio::select! {
            () = gate => {}
            _ = stopped(&mut stop) => return self.phase(Phase::Stopped),
        }
        loop {
            self.phase(Phase::Starting);
            let started = Instant::now();
            let ended = match Process::start(&name, &spec, &self.logs, &self.record) {
                Err(error) => Ended::NotStarted(error.to_string()),
                Ok(mut process) => {
                    tokio::select! {
                        ended = self.attend(&name, &mut process, &probe, expects) => ended,
                        limit = stopped(&mut stop) => {
                            process.stop(limit).await;
                            return self.phase(Phase::Stopped);
                        }
                    }
                }
            };
            let pause = backoff.next(started.elapsed());
            let mut why = explain(&ended, &spec, port);
            if let (Some(line), Some(expects)) = (self.logs.take_in_use(&name), expects) {
                why = format!("{why}; {}", in_use(&line, expects, &self.record));
            }
            self.logs.say(&format!(
                "{name} {why}; starting it again in {} ms",
                pause.as_millis()
            ));
            self.updates.send_modify(|status| {
                status.phase = Phase::BackingOff;
                status.pid = None;
                status.restarts += 1;
                status.why = Some(why);
            });
            tokio::select! {
                () = sleep(pause) => {}
                _ = stopped(&mut stop) => return self.phase(Phase::Stopped),
            }
        }
    }

    /// Watches a process become ready, and then end.
    async fn attend(
        &self,
        name: &str,
        process: &mut Process,
        probe: &Probe,
        expects: Option<Expected>,
    ) -> Ended {
        let (tell, reason) = watch::channel(String::new());
        let passes = probe.passes(|why| {
            tell.send_replace(why);
        });
        tokio::pin!(passes);
        let started = Instant::now();
        let mut looks = interval_at(started + SLOW, SLOW);
        let mut reported: Option<(Instant, String)> = None;
        loop {
            tokio::select! {
                ended = process.ended() => return ended,
                () = &mut passes => break,
                _ = looks.tick() => {}
            }
            let mut why = reason.borrow().clone();
            if let (Some(pid), Some(expects)) = (process.pid(), expects)
                && let Some(hint) = listens_elsewhere(&listening::of_tree(pid), expects)
            {
                why = format!("{why}; {hint}");
            }
            let is_due = match &reported {
                Some((at, said)) => *said != why && at.elapsed() >= REPORT,
                None => true,
            };
            if is_due {
                self.logs.say(&format!("{name} is not ready yet ({why})"));
                reported = Some((Instant::now(), why.clone()));
            }
            self.updates.send_if_modified(|status| {
                let is_new = status.why.as_ref() != Some(&why);
                status.why = Some(why);
                is_new
            });
        }
        let pid = process.pid_once_known().await;
        self.updates.send_modify(|status| {
            status.phase = Phase::Ready;
            status.pid = pid;
            status.why = None;
        });
        process.ended().await
    }

    fn phase(&self, phase: Phase) {
        self.updates.send_modify(|status| {
            status.phase = phase;
            if phase == Phase::Stopped {
                status.pid = None;
            }
        });
    }
}

/// Waits for the stop signal and returns the grace period.
async fn stopped(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match stop.wait_for(Option::is_some).await {
        Ok(limit) => limit.unwrap_or(ABANDONED),
        Err(_) => ABANDONED,
    }
}

fn explain(ended: &Ended, spec: &Spec, port: Option<u16>) -> String {
    let mut why = ended.to_string();
    if let (Ended::NotStarted(_), Spec::Program { command, dir, .. }) = (ended, spec) {
        let program = command.first().map_or("", String::as_str);
        why = format!("{why} (`{program}` in {})", dir.display());
    }
    if let Some(port) = port.filter(|port| !super::ports::is_free(*port)) {
        why = format!("{why}; its port {port} is taken by another process");
    }
    why
}

/// Explains that a program listens, but not where it should.
fn listens_elsewhere(listening: &BTreeSet<SocketAddr>, expects: Expected) -> Option<String> {
    let Expected { listen, .. } = expects;
    if listening.iter().any(|addr| addr.port() == listen) {
        return None;
    }
    let Some(first) = listening.first() else {
        return Some(format!(
            "it listens on no port yet, and should on {listen} ($PORT)"
        ));
    };
    let all: Vec<_> = listening.iter().take(5).map(ToString::to_string).collect();
    Some(format!(
        "it listens on {} instead of {listen}: let it read $PORT, or say `listen: {}` in mesh.yaml",
        all.join(", "),
        first.port()
    ))
}

/// Explains an error about an address in use, which a program reported in `line`.
fn in_use(line: &str, expects: Expected, record: &Record) -> String {
    let port = port_in(line).unwrap_or(expects.service);
    let holder = match listening::holder(port) {
        None => "not in use any more".to_owned(),
        Some(pid) => {
            let known = record.processes().into_iter();
            let mut known = known.filter(|entry| entry.mark.pid == pid);
            match known.next() {
                Some(entry) if entry.name == GATEWAY => {
                    "taken by the gateway of this mesh, as a host port".to_owned()
                }
                Some(entry) => format!("taken by {}", entry.name),
                None => {
                    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
                    let name = name.unwrap_or_default();
                    format!("taken by process {pid} ({})", name.trim())
                }
            }
        }
    };
    format!(
        "port {port} is {holder}; let the program listen on $PORT ({}), or say `listen: {port}` in \
         mesh.yaml",
        expects.listen
    )
}

/// The last port in a line: a number behind a colon or the word `port`.
fn port_in(line: &str) -> Option<u16> {
    let words = line.split_whitespace().rev();
    let mut ports = words.filter_map(|word| {
        let is_part = |c: char| c.is_ascii_digit() || c == ':';
        let word = word.trim_start_matches(|c: char| !is_part(c));
        let word = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number = word.rsplit(':').next()?;
        number
            .parse()
            .ok()
            .filter(|port| *port > 1023 || word.contains(':') && *port > 0)
    });
    ports.next()
}

/// 100 ms, doubled for each end in a row, up to 10 s.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(10);

    /// The pause after a process that ran for `ran`.
    fn next(&mut self, ran: Duration) -> Duration {
        if ran >= STABLE {
            self.failures = 0;
        }
        let pause = Self::FIRST * 2_u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        pause.min(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_in_what_runtimes_say() {
        for (line, port) in [
            (
                "Error: listen EADDRINUSE: address already in use :::8080",
                Some(8080),
            ),
            (
                "listen tcp 127.0.0.1:80: bind: address already in use",
                Some(80),
            ),
            ("Port 3000 is in use: address already in use", Some(3000)),
            ("OSError: [Errno 98] Address already in use", None),
        ] {
            assert_eq!(port_in(line), port, "{line}");
        }
    }

    #[test]
    fn a_program_that_listens_elsewhere_is_told_where() {
        let expects = Expected {
            listen: 41_000,
            service: 80,
        };
        let hint = |addrs: &[&str]| {
            let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
            listens_elsewhere(&addrs, expects)
        };
        assert_eq!(hint(&["127.0.0.1:9", "[::1]:41000"]), None);
        let hint = hint(&["0.0.0.0:3000"]).unwrap();
        assert!(
            hint.contains("listens on 0.0.0.0:3000 instead of 41000"),
            "{hint}"
        );
        assert!(hint.contains("`listen: 3000`"), "{hint}");
    }

    #[test]
    fn the_pause_doubles_up_to_ten_seconds_and_starts_over_after_a_stable_run() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9)
            .map(|_| backoff.next(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!(backoff.next(STABLE).as_millis(), 100);
    }
}
