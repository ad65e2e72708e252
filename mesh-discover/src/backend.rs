use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// A service that takes requests of a destination, and its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    name: Arc<str>,
    endpoints: Arc<[Endpoint]>,
    exists: bool,
}

impl Backend {
    /// The backend `name` (full name and port) that exists and has these endpoints.
    pub fn new(name: impl Into<Arc<str>>, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self::of(name.into(), endpoints.into_iter().collect())
    }

    /// As [`new`](Self::new), of a list that is shared with another answer.
    pub(crate) fn of(name: Arc<str>, endpoints: Arc<[Endpoint]>) -> Self {
        Self {
            name,
            endpoints,
            exists: true,
        }
    }

    /// Sets whether there is such a service.
    #[must_use]
    pub fn with_existence(mut self, exists: bool) -> Self {
        self.exists = exists;
        self
    }

    /// The full name and port.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The addresses, sorted; shared with the previous answer if they did not change.
    pub fn endpoints(&self) -> &Arc<[Endpoint]> {
        &self.endpoints
    }

    /// Returns true if there is such a service, with endpoints or without.
    pub fn exists(&self) -> bool {
        self.exists
    }
}

/// One address of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The address to connect to.
    pub addr: SocketAddr,
    /// Its `namespace`, `service`, `deployment`, `pod`, ... Metrics prefix them with `dst_`.
    pub labels: Arc<BTreeMap<String, String>>,
    /// It is known to speak HTTP/2 without being asked.
    pub h2: bool,
    /// The identity that it must prove; `None` if it has none.
    pub identity: Option<Arc<str>>,
    /// The name to ask for in TLS, where it is not the identity itself.
    pub server_name: Option<Arc<str>>,
    /// The authority that requests must name when they are sent here.
    pub authority_override: Option<Arc<str>>,
}

impl Endpoint {
    /// An address about which nothing else is known.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            labels: Arc::default(),
            h2: false,
            identity: None,
            server_name: None,
            authority_override: None,
        }
    }

    /// Sets the labels.
    #[must_use]
    pub fn with_labels(mut self, labels: impl Into<Arc<BTreeMap<String, String>>>) -> Self {
        self.labels = labels.into();
        self
    }

    /// Sets whether it speaks HTTP/2 without being asked.
    #[must_use]
    pub fn with_h2(mut self, h2: bool) -> Self {
        self.h2 = h2;
        self
    }

    /// Sets the identity that it must prove.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<Arc<str>>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Sets the name to ask for in TLS.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets the authority that requests must name when they are sent here.
    #[must_use]
    pub fn with_authority_override(mut self, authority: impl Into<Arc<str>>) -> Self {
        self.authority_override = Some(authority.into());
        self
    }
}
