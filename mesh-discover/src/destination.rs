use crate::{Backend, RouteRule};
use mesh_profile::{Profile, RetryBudget, Route};
use std::sync::Arc;

/// Everything known about an authority: its routes, and the rules that choose among its backends.
///
/// The profile says which route a request is; a rule says where it goes. Equal destinations are
/// never announced twice, so a reader of a [`Watch`](crate::Watch) need not compare them.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    authority: Arc<str>,
    name: Option<Arc<str>>,
    protocol: Protocol,
    profile: Profile,
    rules: Arc<[RouteRule]>,
    backends: Arc<[Backend]>,
}

/// The protocol of a destination's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// The first bytes of a connection tell.
    #[default]
    Detect,
    /// Connections are carried as bytes, whatever they look like.
    Opaque,
}

impl Destination {
    /// A destination outside the mesh: no name, no routes, no backends.
    pub fn unknown(authority: impl Into<Arc<str>>) -> Self {
        Self {
            authority: authority.into(),
            name: None,
            protocol: Protocol::default(),
            profile: Profile::default(),
            rules: Arc::default(),
            backends: Arc::default(),
        }
    }

    /// A destination in the mesh, named `name` (full name and port), without backends yet.
    pub fn named(authority: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::unknown(authority)
        }
    }

    /// Sets the protocol.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets routes and retry budget.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Sets the backends that the rules refer to.
    #[must_use]
    pub fn with_backends(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.backends = backends.into_iter().collect();
        self
    }

    /// Sets the rules, tried in order. A request that meets no condition follows the last one.
    #[must_use]
    pub fn with_rules(mut self, rules: impl IntoIterator<Item = RouteRule>) -> Self {
        self.rules = rules.into_iter().collect();
        self
    }

    /// Sets one backend, and the rule that sends all requests there.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        let rule = RouteRule::to(backend.name().clone());
        self.with_backends([backend]).with_rules([rule])
    }

    /// Sets backends, and the rule that shares all requests out among them by weight.
    ///
    /// Without a weight above zero there is no rule.
    #[must_use]
    pub fn with_split(self, shares: impl IntoIterator<Item = (Backend, u32)>) -> Self {
        let (backends, weights): (Vec<_>, Vec<_>) = shares.into_iter().unzip();
        let names = backends.iter().map(|backend| backend.name().clone());
        let rule = RouteRule::split(names.zip(weights));
        self.with_backends(backends).with_rules(rule)
    }

    /// The authority, as it was asked for.
    pub fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// The full name and port of the service, as in `books.shop.svc.cluster.local:7002`; `None` if
    /// the mesh has no service of that authority.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The protocol of its connections.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The limits on retries, shared by all routes.
    pub fn budget(&self) -> RetryBudget {
        self.profile.budget()
    }

    /// The routes, tried in order.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Route> {
        self.profile.routes()
    }

    /// Routes and retry budget, compiled.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The rules, tried in order; none if the mesh does not know the destination.
    pub fn rules(&self) -> &[RouteRule] {
        &self.rules
    }

    /// The backends that the rules refer to, each once.
    pub fn backends(&self) -> &Arc<[Backend]> {
        &self.backends
    }

    /// The backend called `name`.
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.backends
            .iter()
            .find(|backend| &**backend.name() == name)
    }

    /// Returns true if the mesh knows this destination: a service of it, or one of its pods.
    pub fn is_known(&self) -> bool {
        self.name.is_some() || !self.backends.is_empty()
    }
}
