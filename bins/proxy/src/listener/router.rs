//! What a listener leads to.

use crate::{
    config::Role,
    http::inbound::{Inbound, Workshop},
    listener::capture::{self, Astray},
};
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
pub(crate) struct Entrance {
    role: Arc<Role>,
    shop: Workshop,
    own: Arc<[SocketAddr]>,
    apps: Mutex<HashMap<SocketAddr, Arc<Inbound>>>,
    warned: AtomicBool,
}

/// What a connection is for.
pub(crate) struct Way {
    pub(crate) role: Arc<Role>,
    /// The application, for which it is if there is one.
    pub(crate) inbound: Option<Arc<Inbound>>,
    /// Where it was going before it was redirected.
    pub(crate) original: Option<SocketAddr>,
}

impl Entrance {
    /// That of a listener of `role`, in a proxy that listens on `own`.
    pub(crate) fn new(role: Arc<Role>, shop: Workshop, own: Arc<[SocketAddr]>) -> Self {
        Self {
            role,
            shop,
            own,
            apps: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// The way of a connection that was accepted; none is there for one that went astray, which
    /// is said once aloud.
    pub(crate) fn way(&self, socket: &TcpStream) -> Option<Way> {
        let way = match &*self.role {
            Role::Inbound(app) => Ok(self.inbound(*app, self.role.clone(), None)),
            Role::TransparentInbound(ports) => capture::original(socket).and_then(|original| {
                let local = socket.local_addr().map_err(Astray::Unknown)?;
                let app = capture::inbound(original, local, &self.own, ports)?;
                Ok(self.inbound(app, Arc::new(Role::Inbound(app)), Some(original)))
            }),
            Role::TransparentOutbound => capture::original(socket).and_then(|original| {
                let local = socket.local_addr().map_err(Astray::Unknown)?;
                Ok(Way {
                    role: self.role.clone(),
                    inbound: None,
                    original: Some(capture::outbound(original, local, &self.own)?),
                })
            }),
            _ => Ok(Way {
                role: self.role.clone(),
                inbound: None,
                original: None,
            }),
        };
        match way {
            Ok(way) => Some(way),
            Err(astray) if self.warned.swap(true, Relaxed) => {
                tracing::debug!(error = %astray, "connection refused");
                None
            }
            Err(astray) => {
                tracing::warn!(error = %astray, "connection refused");
                None
            }
        }
    }

    fn inbound(&self, app: SocketAddr, role: Arc<Role>, original: Option<SocketAddr>) -> Way {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let inbound = match apps.get(&app) {
            Some(inbound) => inbound.clone(),
            None => {
                let inbound = Arc::new(Inbound::new(self.shop.clone(), app));
                if apps.len() < MAX_APPS {
                    apps.insert(app, inbound.clone());
                }
                inbound
            }
        };
        Way {
            role,
            inbound: Some(inbound),
            original,
        }
    }
}
