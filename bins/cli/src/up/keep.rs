//! Keeps one process running: start, wait until it is ready, start again when it ends.

use super::{
    logs::Logs,
    process::{Ended, Process, Spec},
    ready::Probe,
    record::Record,
};
use std::{future::Future, pin::Pin, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// A process that ran this long is stable: its backoff is reset.
const STABLE: Duration = Duration::from_secs(10);
/// Time after which a process that is not ready is reported.
const SLOW: Duration = Duration::from_secs(15);
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
    /// Listen port, to explain a failure if another process has taken it.
    pub(crate) port: Option<u16>,
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
                        ended = self.attend(&name, &mut process, &probe) => ended,
                        limit = stopped(&mut stop) => {
                            process.stop(limit).await;
                            return self.phase(Phase::Stopped);
                        }
                    }
                }
            };
            let pause = backoff.next(started.elapsed());
            let why = explain(&ended, &spec, port);
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
    async fn attend(&self, name: &str, process: &mut Process, probe: &Probe) -> Ended {
        let mut why = None;
        let ready = tokio::select! {
            ended = process.ended() => return ended,
            ready = timeout(SLOW, probe.passes(|reason| why = Some(reason))) => ready,
        };
        if ready.is_err() {
            let reason = why.take().unwrap_or_default();
            self.logs
                .say(&format!("{name} is not ready yet ({reason})"));
            self.updates.send_modify(|status| status.why = Some(reason));
            tokio::select! {
                ended = process.ended() => return ended,
                () = probe.passes(|_| {}) => {}
            }
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
