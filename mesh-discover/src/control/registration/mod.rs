use super::Control;
use crate::Workload;
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tonic::Code;

mod keep;

/// How long [`Registration::end`] waits for the controller.
const PARTING: Duration = Duration::from_secs(1);

/// A workload that the controller knows, for as long as this lives.
///
/// While the controller is away, and while it refuses, registering is tried again with pauses. A
/// controller that came back knows the workload again within a second or so.
///
/// Dropping it takes the workload away at once, if the runtime goes on long enough to say so;
/// [`end`](Self::end) waits for that. A program that just dies is missed for a few seconds first.
#[derive(Debug)]
pub struct Registration {
    wish: watch::Sender<Wish>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

/// What the program wants the controller to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Ready,
    Unready,
    Draining,
}

#[derive(Clone, Debug)]
enum State {
    Pending,
    Registered(Registered),
    Refused(Refused),
}

/// What the controller calls a registered workload's replica.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The replica.
    pub pod: Arc<str>,
}

/// Why the controller does not know the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    reason: Arc<str>,
    is_unknown: bool,
}

impl Control {
    /// Makes `workload` known to the controller, as one ready replica of this process.
    pub fn register(&self, workload: Workload) -> Registration {
        let (wish, wishes) = watch::channel(Wish::Ready);
        let (news, state) = watch::channel(State::Pending);
        let keep = keep::keep(self.shared.clone(), workload, wishes, news);
        Registration {
            wish,
            state,
            task: self.shared.runtime.spawn(keep),
        }
    }
}

impl Registration {
    /// Waits until the controller knows the workload, and says what it calls it. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the controller has been reached and says no. It goes on being asked, so a
    /// later call may succeed.
    pub async fn registered(&self) -> Result<Registered, Refused> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Pending));
        match known.await.as_deref() {
            Ok(State::Registered(registered)) => Ok(registered.clone()),
            Ok(State::Refused(refused)) => Err(refused.clone()),
            Ok(State::Pending) | Err(_) => Err(Refused::new("the runtime has ended")),
        }
    }

    /// Says whether requests should be sent here. They are from the beginning.
    pub fn set_ready(&self, ready: bool) {
        let wish = if ready { Wish::Ready } else { Wish::Unready };
        self.wish.send_replace(wish);
    }

    /// Says that requests in flight are finished and no others should come.
    pub fn drain(&self) {
        self.wish.send_replace(Wish::Draining);
    }

    /// Takes the workload away, and waits until the controller knows, for a second at most.
    pub async fn end(self) {
        drop(self.wish);
        let _ = timeout(PARTING, self.task).await;
    }
}

impl Refused {
    fn new(reason: &str) -> Self {
        Self {
            reason: reason.into(),
            is_unknown: false,
        }
    }

    fn of(status: &tonic::Status) -> Self {
        Self {
            reason: status.message().into(),
            is_unknown: status.code() == Code::Unimplemented,
        }
    }

    /// Whether the controller does not know of registrations at all, as Linkerd's does not.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_unknown {
            true => f.write_str("the controller does not register workloads"),
            false => write!(f, "the controller refused the workload: {}", self.reason),
        }
    }
}

impl Error for Refused {}
