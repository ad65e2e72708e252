use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

/// A change of an endpoint's ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// An endpoint that served is left out.
    Ejected {
        /// Address of the endpoint.
        addr: SocketAddr,
        /// Time until a request tests the endpoint again.
        pause: Duration,
    },
    /// An endpoint that was left out serves again. One that is withdrawn meanwhile never does.
    Readmitted {
        /// Address of the endpoint.
        addr: SocketAddr,
    },
}

/// Is told of each [`Change`], once: a probe that fails changes nothing.
///
/// It is called by the task whose request made the difference, and must not block.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Change) + Send + Sync>);

impl Observer {
    /// Calls `observe`.
    pub fn new(observe: impl Fn(Change) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(crate) fn tell(&self, change: Change) {
        (self.0)(change);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").finish_non_exhaustive()
    }
}
