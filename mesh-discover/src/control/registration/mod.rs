use super::Control;
use crate::Workload;
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tonic::Code;

mod maintain;

/// Maximum wait of [`Registration::end`] for the controller.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(1);

/// A workload registered with the controller until this value is dropped.
///
/// While the controller is unreachable or refuses, registering is retried with a backoff. After a
/// restart of the controller the workload is registered again within about one second.
///
/// Dropping it deregisters the workload at once if the runtime keeps running;
/// [`end`](Self::end) waits for that. A program that crashes stays listed for a few seconds.
#[derive(Debug)]
pub struct Registration {
    desired: watch::Sender<DesiredState>,
    state: watch::Receiver<RegistrationState>,
    task: JoinHandle<()>,
}

/// The state of the replica that the program wants the controller to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DesiredState {
    Ready,
    Unready,
    Draining,
}

#[derive(Clone, Debug)]
enum RegistrationState {
    Pending,
    Registered(Registered),
    Refused(Refused),
}

/// The name that the controller gave to a registered replica.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// Namespace of the replica.
    pub namespace: Arc<str>,
    /// Name of the replica.
    pub pod: Arc<str>,
}

/// Reason why the controller did not register the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    reason: Arc<str>,
    is_unknown: bool,
}

impl Control {
    /// Registers `workload` with the controller, with this process as one ready replica.
    pub fn register(&self, workload: Workload) -> Registration {
        let (desired, receiver) = watch::channel(DesiredState::Ready);
        let (progress, state) = watch::channel(RegistrationState::Pending);
        let task = maintain::maintain(self.shared.clone(), workload, receiver, progress);
        Registration {
            desired,
            state,
            task: self.shared.runtime.spawn(task),
        }
    }
}

impl Registration {
    /// Waits until the workload is registered, and returns its name. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the controller refuses the workload. Registering is retried, so a later call
    /// may succeed.
    pub async fn registered(&self) -> Result<Registered, Refused> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, RegistrationState::Pending));
        match known.await.as_deref() {
            Ok(RegistrationState::Registered(registered)) => Ok(registered.clone()),
            Ok(RegistrationState::Refused(refused)) => Err(refused.clone()),
            Ok(RegistrationState::Pending) | Err(_) => Err(Refused::new("the runtime has ended")),
        }
    }

    /// Sets whether the replica receives requests. Default: true.
    pub fn set_ready(&self, ready: bool) {
        let desired = if ready {
            DesiredState::Ready
        } else {
            DesiredState::Unready
        };
        self.desired.send_replace(desired);
    }

    /// Marks the replica as draining: it finishes requests in flight and receives no new ones.
    pub fn drain(&self) {
        self.desired.send_replace(DesiredState::Draining);
    }

    /// Deregisters the workload and waits at most 1 s for the controller.
    pub async fn end(self) {
        drop(self.desired);
        let _ = timeout(DEREGISTER_TIMEOUT, self.task).await;
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

    /// Returns true if the controller does not support registration; Linkerd's does not.
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
