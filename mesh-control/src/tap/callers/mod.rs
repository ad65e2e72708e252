//! Who it is that calls from an address of this machine.
//!
//! Between sidecars without TLS nobody says who he is, and on one machine all have the same
//! address. But the kernel knows which process has which connection.

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
    seen: Mutex<Seen>,
    /// Wakes those who wait for the kernel's answer.
    answered: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    callers: HashMap<SocketAddr, Labels>,
    /// Who was not among them, and when.
    strangers: HashMap<SocketAddr, Instant>,
    /// The kernel is being asked.
    is_asked: bool,
    /// Not before is it asked again.
    not_before: Option<Instant>,
}

type Labels = Arc<[(String, String)]>;

/// The kernel is asked again after so many times what its answer took, but not before `PAUSE`:
/// whatever the number of processes, a twentieth of one core's time goes into it.
const SHARE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// How long an event waits for the kernel's answer: shown late, it would be of no use, and those
/// behind it would be lost.
const WAIT: Duration = Duration::from_millis(20);

/// The most strangers that are remembered as such.
const MAX_STRANGERS: usize = 1_000;

/// For so long a connection that is known is not asked about again: another may have its port.
const FRESH: Duration = Duration::from_secs(5);

/// What can be said of an address without asking the kernel.
enum Answer {
    This(Option<Labels>),
    /// The answer is on its way.
    Wait,
    Ask,
}

impl Callers {
    /// What is known of who has the connection from `addr`. Nothing is known of other machines, of
    /// processes that are not `running`'s, and of connections that began since the kernel was asked
    /// and before it may be asked again. Takes 20 ms at most.
    pub(super) async fn of(&self, addr: SocketAddr, running: &Arc<Snapshot>) -> Option<Labels> {
        if !addr.ip().is_loopback() {
            return None;
        }
        let mut answered = pin!(self.0.answered.notified());
        answered.as_mut().enable();
        let answer = self.0.seen().answer(addr);
        match answer {
            Answer::This(known) => return known,
            Answer::Wait => {}
            Answer::Ask => {
                tokio::spawn(self.0.clone().ask(addr, running.clone()));
            }
        }
        let _ = timeout(WAIT, answered).await;
        self.0.seen().known(addr)
    }
}

impl Shared {
    /// Asks the kernel about everybody, because of `addr`.
    async fn ask(self: Arc<Self>, addr: SocketAddr, running: Arc<Snapshot>) {
        let began = Instant::now();
        let callers = spawn_blocking(move || kernel::callers(Path::new("/proc"), &running)).await;
        let callers = callers.unwrap_or_default();
        self.seen().learn(addr, callers, began);
        self.answered.notify_waiters();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while holding the lock.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn known(&self, addr: SocketAddr) -> Option<Labels> {
        let is_fresh = self.at.is_some_and(|at| at.elapsed() < FRESH);
        self.callers.get(&addr).filter(|_| is_fresh).cloned()
    }

    fn answer(&mut self, addr: SocketAddr) -> Answer {
        if let Some(known) = self.known(addr) {
            return Answer::This(Some(known));
        }
        let stranger = self.strangers.get(&addr);
        if stranger.is_some_and(|since| since.elapsed() < FRESH) {
            return Answer::This(None);
        }
        if self.is_asked {
            return Answer::Wait;
        }
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Answer::This(None);
        }
        self.is_asked = true;
        Answer::Ask
    }

    fn learn(&mut self, addr: SocketAddr, callers: HashMap<SocketAddr, Labels>, began: Instant) {
        let now = Instant::now();
        self.is_asked = false;
        self.at = Some(now);
        self.not_before = Some(now + PAUSE.max((now - began) * SHARE));
        self.callers = callers;
        if !self.callers.contains_key(&addr) {
            if self.strangers.len() >= MAX_STRANGERS {
                self.strangers.clear();
            }
            self.strangers.insert(addr, now);
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
    async fn the_kernel_is_asked_once_for_all_who_wait() {
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
