use mesh_profile::ProfileSpec;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// Everything known about an authority: its profile, leaves and endpoints.
///
/// Equal destinations are never announced twice, so whatever reads a
/// [`Watch`](crate::Watch) may rebuild without comparing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Destination {
    /// The authority, as it was asked for.
    pub authority: Arc<str>,
    /// The full name and port of the apex, as in `books.shop.svc.cluster.local:7002`; `None`
    /// if the mesh does not know the authority.
    pub name: Option<Arc<str>>,
    /// Routes and retry budget; without routes if nobody declared any.
    pub profile: Arc<ProfileSpec>,
    /// The services that share the apex's requests, in the order they were declared: the apex
    /// alone if nothing splits it, none if the mesh does not know it.
    pub leaves: Vec<Leaf>,
    /// Whether connections to it are to be carried as bytes, whatever they look like.
    pub opaque: bool,
}

impl Destination {
    /// A destination outside the mesh: no name, no leaves, no routes.
    pub fn unknown(authority: impl Into<Arc<str>>) -> Self {
        Self {
            authority: authority.into(),
            name: None,
            profile: Arc::default(),
            leaves: Vec::new(),
            opaque: false,
        }
    }

    /// A destination in the mesh, named `name` (full name and port), without leaves yet.
    pub fn named(authority: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::unknown(authority)
        }
    }

    /// Sets the profile.
    #[must_use]
    pub fn with_profile(mut self, profile: impl Into<Arc<ProfileSpec>>) -> Self {
        self.profile = profile.into();
        self
    }

    /// Sets the leaves.
    #[must_use]
    pub fn with_leaves(mut self, leaves: impl IntoIterator<Item = Leaf>) -> Self {
        self.leaves = leaves.into_iter().collect();
        self
    }

    /// Whether the mesh knows this destination.
    pub fn is_known(&self) -> bool {
        self.name.is_some()
    }
}

/// A service that takes a share of an apex's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaf {
    /// Full name and port.
    pub authority: Arc<str>,
    /// Its share relative to the sum of all leaves; zero receives nothing.
    pub weight: u32,
    /// Its addresses, sorted; shared with the previous answer if they did not change.
    pub endpoints: Arc<[Endpoint]>,
    /// Whether there is such a service, with endpoints or without.
    pub exists: bool,
}

impl Leaf {
    /// A leaf of weight one that exists and has these endpoints.
    pub fn new(
        authority: impl Into<Arc<str>>,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Self {
        Self {
            authority: authority.into(),
            weight: 1,
            endpoints: endpoints.into_iter().collect(),
            exists: true,
        }
    }

    /// Sets the share.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

/// One address of a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Where to connect.
    pub addr: SocketAddr,
    /// What it is: `namespace`, `service`, `deployment`, `pod`, ... Metrics prefix them with
    /// `dst_`.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whether it is known to speak HTTP/2 without being asked.
    pub h2: bool,
    /// Who it must prove to be, if it can.
    pub identity: Option<Arc<str>>,
}

impl Endpoint {
    /// An address about which nothing else is known.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            labels: Arc::default(),
            h2: false,
            identity: None,
        }
    }

    /// Sets the labels.
    #[must_use]
    pub fn with_labels(mut self, labels: impl Into<Arc<BTreeMap<String, String>>>) -> Self {
        self.labels = labels.into();
        self
    }

    /// Says whether it speaks HTTP/2 without being asked.
    #[must_use]
    pub fn with_h2(mut self, h2: bool) -> Self {
        self.h2 = h2;
        self
    }

    /// Says who it must prove to be.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<Arc<str>>) -> Self {
        self.identity = Some(identity.into());
        self
    }
}
