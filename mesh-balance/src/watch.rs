use crate::{
    config::Config,
    endpoint::{Core, Endpoint, EndpointStatus, InFlight, Record},
    pick::pick,
    random::mix,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::Ordering::{Relaxed, SeqCst},
    },
};

/// Replaces the endpoints of a [`Balance`](crate::Balance) and all its clones while they run.
pub struct BalanceHandle<S>(Arc<Shared<S>>);

impl<S> BalanceHandle<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>) -> Self {
        Self(shared)
    }

    /// Makes `addrs` the endpoints, from the next request on.
    ///
    /// Endpoints that stay keep their service and all that was learned of them; `make` is asked
    /// for the services of new ones only. Requests in flight at endpoints that go are not
    /// disturbed. Requests that wait for an endpoint wake at once. Duplicates count once.
    ///
    /// `make` must not itself update this balance.
    pub fn update(
        &self,
        addrs: impl IntoIterator<Item = SocketAddr>,
        make: impl FnMut(SocketAddr) -> S,
    ) {
        self.0.update(addrs.into_iter().collect(), make);
    }

    /// Puts a new endpoint in the place of the one at `addr`; false if there is none.
    ///
    /// For when something else is behind an address, or the way there has changed. What was
    /// learned of the old one does not count for the new; requests in flight finish.
    pub fn replace(&self, addr: SocketAddr, service: S) -> bool {
        self.0.replace(addr, service)
    }
}

impl<S> Clone for BalanceHandle<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for BalanceHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceHandle").finish_non_exhaustive()
    }
}

/// The endpoints, shared by all clones.
/// The list is behind a lock that is read during a choice, not copied into each clone: an idle
/// clone must not keep connections to removed endpoints open.
pub(crate) struct Shared<S> {
    pub(crate) core: Arc<Core>,
    endpoints: RwLock<Vec<Endpoint<S>>>,
    /// One update at a time, so that services are made while requests go on.
    updating: Mutex<()>,
}

impl<S> Shared<S> {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            core: Arc::new(Core::new(config)),
            endpoints: RwLock::default(),
            updating: Mutex::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Endpoint<S>>> {
        self.endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_available(&self) -> bool {
        self.core.present.load(Relaxed) > 0
    }

    pub(crate) fn status(&self) -> Vec<EndpointStatus> {
        let now = self.core.now();
        self.read()
            .iter()
            .map(|endpoint| EndpointStatus::of(&endpoint.record, now))
            .collect()
    }

    pub(crate) fn choice(&self) -> Option<SocketAddr> {
        let endpoints = self.read();
        pick(&self.core, &endpoints, &[]).map(|choice| choice.endpoint.record.addr)
    }

    fn update(&self, addrs: Vec<SocketAddr>, mut make: impl FnMut(SocketAddr) -> S) {
        let _one_at_a_time = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let addrs = self.subset(addrs);

        let present: HashSet<_> = self.read().iter().map(|e| e.record.addr).collect();
        let slow_start = !present.is_empty() && !self.core.config.slow_start.is_zero();
        let mut joining: HashMap<_, _> = addrs
            .iter()
            .filter(|addr| !present.contains(addr))
            .map(|&addr| {
                let record = Record::new(self.core.clone(), addr, slow_start);
                let endpoint = Endpoint {
                    record: Arc::new(record),
                    service: make(addr),
                };
                (addr, endpoint)
            })
            .collect();

        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        joining.extend(endpoints.drain(..).map(|old| (old.record.addr, old)));
        endpoints.extend(addrs.iter().filter_map(|addr| joining.remove(addr)));
        self.core.present.store(endpoints.len(), SeqCst);
        drop(endpoints);

        if !addrs.is_empty() {
            self.core.appeared.notify_waiters();
        }
        // The rest are removed, and their services are dropped outside the lock.
        joining.values().for_each(|gone| gone.record.remove());
    }

    /// Without duplicates; and no more than asked for, by rendezvous hashing.
    fn subset(&self, mut addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut seen = HashSet::new();
        addrs.retain(|addr| seen.insert(*addr));
        if let Some(subset) = self.core.config.subset
            && subset < addrs.len()
        {
            let salt = self.core.random.seed();
            let mut ranked = addrs.clone();
            ranked.sort_by_cached_key(|addr| mix(salt ^ hash(addr)));
            let kept: HashSet<_> = ranked.into_iter().take(subset).collect();
            addrs.retain(|addr| kept.contains(addr));
        }
        addrs
    }

    fn replace(&self, addr: SocketAddr, service: S) -> bool {
        let _one_at_a_time = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let slow_start = endpoints.len() > 1 && !self.core.config.slow_start.is_zero();
        let found = endpoints.iter_mut().find(|e| e.record.addr == addr);
        let old = found.map(|place| {
            let record = Record::new(self.core.clone(), addr, slow_start);
            let record = Arc::new(record);
            std::mem::replace(place, Endpoint { record, service })
        });
        drop(endpoints);
        if let Some(old) = &old {
            old.record.remove();
        }
        old.is_some()
    }
}

impl<S: Clone> Shared<S> {
    /// Chooses an endpoint and counts a request in flight there; none if there is none.
    pub(crate) fn choose(&self, tried: &[SocketAddr]) -> Option<(S, InFlight, SocketAddr)> {
        let endpoints = self.read();
        let choice = pick(&self.core, &endpoints, tried)?;
        let record = choice.endpoint.record.clone();
        let addr = record.addr;
        let service = choice.endpoint.service.clone();
        let in_flight = InFlight::begin(record, choice.since, choice.probe);
        Some((service, in_flight, addr))
    }
}

fn hash(addr: &SocketAddr) -> u64 {
    let ip = match addr.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => u64::from(ip.to_bits()),
        std::net::IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            mix((bits >> 64) as u64) ^ bits as u64
        }
    };
    mix(ip ^ u64::from(addr.port()) << 48)
}
