//! Finds the pod that calls from an address of this machine.
//!
//! Without TLS a caller has no identity, and on one machine all pods have the same address. But
//! the kernel knows which process has which connection.

mod kernel;

use crate::index::Snapshot;
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, timeout},
};

/// The connections of the mesh's processes, as they were a moment ago.
#[derive(Clone, Debug, Default)]
pub(super) struct Callers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<CallerTable>,
    /// Notified when the table has been read anew.
    answered: Notify,
}

#[derive(Debug, Default)]
struct CallerTable {
    at: Option<Instant>,
    callers: HashMap<SocketAddr, Labels>,
    /// Addresses that were not found, and when.
    unknown: HashMap<SocketAddr, Instant>,
    /// The table is being read.
    is_reading: bool,
    /// The earliest time of the next reading.
    not_before: Option<Instant>,
}

type Labels = Arc<[(String, String)]>;

/// The pause between two readings of `/proc`, as a multiple of the time that one takes, and at
/// least `PAUSE`: whatever the number of processes, readings take a twentieth of one core.
const SHARE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time that an event waits for a reading: later events wait behind it.
const WAIT: Duration = Duration::from_millis(20);

/// The most unknown addresses that are remembered.
const MAX_UNKNOWN: usize = 1_000;

/// The time for which a result is valid: later, another connection may have the port.
const FRESH: Duration = Duration::from_secs(5);

/// The result of a lookup in the table as it is.
enum Lookup {
    /// The labels of the caller, or none if it is unknown.
    Done(Option<Labels>),
    /// A reading is under way.
    Wait,
    /// The caller of the lookup must start a reading.
    Read,
}

impl Callers {
    /// Returns the labels of the pod of `running` that has the connection from `addr`, within 20 ms.
    /// Returns `None` for other machines and processes, and for a connection that began after the
    /// last reading while the next is not due.
    pub(super) async fn of(&self, addr: SocketAddr, running: &Arc<Snapshot>) -> Option<Labels> {
        if !addr.ip().is_loopback() {
            return None;
        }
        let mut answered = pin!(self.0.answered.notified());
        answered.as_mut().enable();
        let lookup = self.0.table().lookup(addr);
        match lookup {
            Lookup::Done(known) => return known,
            Lookup::Wait => {}
            Lookup::Read => {
                tokio::spawn(self.0.clone().read(addr, running.clone()));
            }
        }
        let _ = timeout(WAIT, answered).await;
        self.0.table().known(addr)
    }
}

impl Shared {
    /// Reads the connections of all pods, on behalf of `addr`.
    async fn read(self: Arc<Self>, addr: SocketAddr, running: Arc<Snapshot>) {
        let began = Instant::now();
        let callers = spawn_blocking(move || kernel::callers(Path::new("/proc"), &running)).await;
        let callers = callers.unwrap_or_default();
        self.table().learn(addr, callers, began);
        self.answered.notify_waiters();
    }

    fn table(&self) -> MutexGuard<'_, CallerTable> {
        // Nothing panics while holding the lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallerTable {
    fn known(&self, addr: SocketAddr) -> Option<Labels> {
        let is_fresh = self.at.is_some_and(|at| at.elapsed() < FRESH);
        self.callers.get(&addr).filter(|_| is_fresh).cloned()
    }

    fn lookup(&mut self, addr: SocketAddr) -> Lookup {
        if let Some(known) = self.known(addr) {
            return Lookup::Done(Some(known));
        }
        let unknown = self.unknown.get(&addr);
        if unknown.is_some_and(|since| since.elapsed() < FRESH) {
            return Lookup::Done(None);
        }
        if self.is_reading {
            return Lookup::Wait;
        }
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Lookup::Done(None);
        }
        self.is_reading = true;
        Lookup::Read
    }

    fn learn(&mut self, addr: SocketAddr, callers: HashMap<SocketAddr, Labels>, began: Instant) {
        let now = Instant::now();
        self.is_reading = false;
        self.at = Some(now);
        self.not_before = Some(now + PAUSE.max((now - began) * SHARE));
        self.callers = callers;
        if !self.callers.contains_key(&addr) {
            if self.unknown.len() >= MAX_UNKNOWN {
                self.unknown.clear();
            }
            self.unknown.insert(addr, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::Index,
        model::{Pod, WorkloadName},
    };
    use std::net::{TcpListener, TcpStream};

    fn running(admin: &str, pid: Option<u32>) -> Arc<Snapshot> {
        let index = Index::new("cluster.local");
        index.sink().apply(Pod {
            workload: Some(WorkloadName::deployment("web")),
            admin: Some(admin.parse().unwrap()),
            pid,
            ..Pod::new("shop", "web-0")
        });
        index.snapshot()
    }

    fn pod(labels: Option<Labels>) -> Option<String> {
        let labels = labels?;
        let pod = labels.iter().find(|(name, _)| name == "pod")?;
        Some(pod.1.clone())
    }

    /// A connection of this process, and its own end's address.
    fn call(server: &TcpListener) -> (TcpStream, SocketAddr) {
        let call = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let from = call.local_addr().unwrap();
        (call, from)
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_that_has_a_connection_is_its_caller() {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = admin.local_addr().map(|addr| (admin, addr)).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_call, from) = call(&server);

        let callers = Callers::default();
        let ours = running(&admin.1.to_string(), None);
        assert_eq!(pod(callers.of(from, &ours).await).unwrap(), "web-0");
        let by_pid = running("127.0.0.1:1", Some(std::process::id()));
        let found = Callers::default().of(from, &by_pid).await;
        assert_eq!(pod(found).unwrap(), "web-0");
        let theirs = running("127.0.0.1:1", None);
        assert_eq!(pod(Callers::default().of(from, &theirs).await), None);

        // One that began after the kernel was asked is found when it is asked again.
        let (_later, from) = call(&server);
        assert_eq!(pod(callers.of(from, &ours).await), None);
        tokio::time::advance(PAUSE).await;
        assert_eq!(pod(callers.of(from, &ours).await).unwrap(), "web-0");
        let elsewhere = "192.0.2.1:9".parse().unwrap();
        assert_eq!(callers.of(elsewhere, &ours).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn new_callers_do_not_hold_up_the_events() {
        let callers = Callers::default();
        let theirs = running("127.0.0.1:1", None);
        let began = Instant::now();
        for port in 1..=1_000 {
            let from = SocketAddr::from(([127, 0, 0, 1], port));
            assert_eq!(callers.of(from, &theirs).await, None);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_kernel_is_reading_once_for_all_who_wait() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = running("127.0.0.1:1", Some(std::process::id()));
        let (_first, first) = call(&server);
        let (_second, second) = call(&server);
        let callers = Callers::default();
        let found = tokio::join!(callers.of(first, &ours), callers.of(second, &ours));
        assert_eq!(pod(found.0).unwrap(), "web-0");
        assert_eq!(pod(found.1).unwrap(), "web-0");
    }
}
