//! From an accepted socket to the services behind its listener.

use super::{
    capture::{self, RejectReason},
    role::{BytesTo, OutboundPolicy, Plan, Role},
};
use crate::http::inbound::{Inbound, StackContext};
use mesh_core::Direction;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::net::TcpStream;

/// A transparent listener keeps the connections to this many ports of the application; those to
/// others are kept as long as one of their callers.
const MAX_APPS: usize = 64;

/// One worker's side of a listener.
pub(crate) struct Router {
    plan: Plan,
    context: StackContext,
    own: Arc<[SocketAddr]>,
    apps: Mutex<HashMap<SocketAddr, Arc<Inbound>>>,
    warned: AtomicBool,
}

/// A connection that was accepted, and where it leads.
pub(crate) struct Accepted {
    pub(crate) requests: Requests,
    pub(crate) bytes: BytesTo,
    /// The server may be the one to speak first.
    pub(crate) server_may_begin: bool,
    /// The address it was going to before it was redirected.
    pub(crate) original: Option<SocketAddr>,
}

/// Where the requests of a connection go.
pub(crate) enum Requests {
    Application(Arc<Inbound>),
    Services(Arc<OutboundPolicy>),
}

impl Requests {
    pub(crate) fn direction(&self) -> Direction {
        match self {
            Self::Application(_) => Direction::Inbound,
            Self::Services(_) => Direction::Outbound,
        }
    }
}

impl Router {
    /// The router of a listener of `role`, in a proxy that listens on `own`.
    pub(crate) fn new(role: &Role, context: StackContext, own: Arc<[SocketAddr]>) -> Self {
        Self {
            plan: role.into(),
            context,
            own,
            apps: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Routes an accepted connection. The first one that is rejected is a warning in the log.
    pub(crate) fn route(&self, socket: &TcpStream) -> Option<Accepted> {
        match self.resolve(socket) {
            Ok(accepted) => Some(accepted),
            Err(reason) if self.warned.swap(true, Relaxed) => {
                tracing::debug!(error = %reason, "connection refused");
                None
            }
            Err(reason) => {
                tracing::warn!(error = %reason, "connection refused");
                None
            }
        }
    }

    fn resolve(&self, socket: &TcpStream) -> Result<Accepted, RejectReason> {
        let local = || socket.local_addr().map_err(RejectReason::Unknown);
        match &self.plan {
            Plan::Application(app) => Ok(self.application(*app, None)),
            Plan::CapturedApplication(ports) => {
                let original = capture::original(socket)?;
                let app = capture::inbound(original, local()?, &self.own, ports)?;
                Ok(self.application(app, Some(original)))
            }
            Plan::Services(services) => Ok(Accepted {
                requests: Requests::Services(services.requests.clone()),
                bytes: services.bytes.clone(),
                server_may_begin: services.server_may_begin,
                original: None,
            }),
            Plan::CapturedServices(services) => {
                let original = capture::original(socket)?;
                let original = capture::outbound(original, local()?, &self.own)?;
                Ok(Accepted {
                    requests: Requests::Services(services.requests.clone()),
                    bytes: BytesTo::Original(original),
                    server_may_begin: services.server_may_begin,
                    original: Some(original),
                })
            }
        }
    }

    fn application(&self, app: SocketAddr, original: Option<SocketAddr>) -> Accepted {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let inbound = match apps.get(&app) {
            Some(inbound) => inbound.clone(),
            None => {
                let inbound = Arc::new(Inbound::new(self.context.clone(), app));
                if apps.len() < MAX_APPS {
                    apps.insert(app, inbound.clone());
                }
                inbound
            }
        };
        Accepted {
            requests: Requests::Application(inbound),
            bytes: BytesTo::Application(app),
            server_may_begin: true,
            original,
        }
    }
}
