use super::Connect;
use crate::{Backend, Destination, Endpoint};
use mesh_balance::{Balance, BalanceHandle};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};

/// The backends of a destination, each with one balancer that all rules share.
pub(super) struct Backends<C: Connect> {
    spare: Option<Spare<C>>,
    entries: HashMap<Arc<str>, BackendEntry<C>>,
}

/// A placeholder until the first backend exists. It then becomes that backend, so that requests
/// waiting in it for an endpoint get one.
struct Spare<C: Connect> {
    /// The only backend that it may become; `None` for any.
    name: Option<Arc<str>>,
    made: (Balance<C::Service>, C::Backend, C::Guard),
}

struct BackendEntry<C: Connect> {
    service: C::Backend,
    handle: BalanceHandle<C::Service>,
    endpoints: Arc<[Endpoint]>,
    guards: HashMap<SocketAddr, C::Guard>,
    _guard: C::Guard,
}

impl<C: Connect> Backends<C> {
    /// The backends of the `first` destination, and the service to begin with.
    pub(super) fn new(connect: &mut C, first: Option<&Destination>) -> (Self, C::Backend) {
        let mut backends = Self {
            spare: None,
            entries: HashMap::new(),
        };
        if let Some(first) = first {
            backends.apply(first, connect);
            let mut shares = first.rules().iter().flat_map(|rule| rule.shares());
            let service = shares.find_map(|share| backends.service(share.backend()));
            if let Some(service) = service.cloned() {
                return (backends, service);
            }
        }
        let name = first.map(|first| first.name().unwrap_or(first.authority()).clone());
        let made = connect.backend(name.as_ref());
        let service = made.1.clone();
        backends.spare = Some(Spare { name, made });
        (backends, service)
    }

    /// The service of the backend called `name`.
    pub(super) fn service(&self, name: &str) -> Option<&C::Backend> {
        self.entries.get(name).map(|entry| &entry.service)
    }

    /// Adds the backends of `destination`, and gives all of them its endpoints.
    pub(super) fn apply(&mut self, destination: &Destination, connect: &mut C) {
        for backend in &**destination.backends() {
            let is_used = || {
                let mut shares = destination.rules().iter().flat_map(|rule| rule.shares());
                shares.any(|share| share.weight() > 0 && share.backend() == backend.name())
            };
            let fits = |spare: &mut Spare<C>| {
                spare
                    .name
                    .as_ref()
                    .is_none_or(|name| name == backend.name())
                    && is_used()
            };
            let entry = self
                .entries
                .entry(backend.name().clone())
                .or_insert_with(|| {
                    let (balance, service, guard) = match self.spare.take_if(fits) {
                        Some(spare) => spare.made,
                        None => connect.backend(Some(backend.name())),
                    };
                    BackendEntry {
                        handle: balance.handle(),
                        service,
                        endpoints: Arc::default(),
                        guards: HashMap::new(),
                        _guard: guard,
                    }
                });
            entry.apply(backend, connect);
        }
    }

    /// Forgets the backends that `destination` does not have.
    pub(super) fn retain(&mut self, destination: &Destination) {
        self.entries
            .retain(|name, _| destination.backend(name).is_some());
    }
}

impl<C: Connect> BackendEntry<C> {
    fn apply(&mut self, backend: &Backend, connect: &mut C) {
        if self.endpoints == *backend.endpoints() {
            return;
        }
        let by_addr = |endpoints: &[Endpoint]| -> HashMap<SocketAddr, Endpoint> {
            let all = endpoints.iter();
            all.map(|one| (one.addr, one.clone())).collect()
        };
        let (old, new) = (by_addr(&self.endpoints), by_addr(backend.endpoints()));
        let guards = &mut self.guards;
        let mut make = |addr| {
            let (service, guard) = connect.endpoint(backend.name(), &new[&addr]);
            guards.insert(addr, guard);
            service
        };
        let addrs = backend.endpoints().iter().map(|endpoint| endpoint.addr);
        self.handle.update(addrs, &mut make);
        // The address may belong to another replica now, or use another protocol.
        for (addr, endpoint) in &new {
            if old.get(addr).is_some_and(|old| old != endpoint) {
                self.handle.replace(*addr, make(*addr));
            }
        }
        self.guards.retain(|addr, _| new.contains_key(addr));
        self.endpoints = backend.endpoints().clone();
    }
}
