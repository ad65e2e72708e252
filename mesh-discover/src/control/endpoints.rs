use crate::{Endpoint, wire};
use linkerd2_proxy_api::destination as api;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most endpoints of a leaf: what exceeds them is ignored with a warning, so that a controller
/// gone mad cannot exhaust the memory.
const MAX_ENDPOINTS: usize = 16_384;

/// What is known of a leaf.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pub(super) answered: bool,
    /// What is known is an older stream's word; the first answer replaces it.
    stale: bool,
    pub(super) exists: bool,
    /// A new stream's word that there are no endpoints any more, and whether there is a service.
    pub(super) doubted: Option<Doubt<bool>>,
    /// The time since which a new stream has said nothing, after an older one that had.
    pub(super) silent_since: Option<Instant>,
    by_addr: BTreeMap<SocketAddr, Endpoint>,
    pub(super) sorted: Arc<[Endpoint]>,
}

/// A word of a stream that is not believed yet.
#[derive(Debug)]
pub(super) struct Doubt<T> {
    /// When that stream said so first.
    pub(super) since: Instant,
    pub(super) word: T,
}

impl<T> Doubt<T> {
    /// The same stream may say it again, which gives it no more time.
    pub(super) fn of(word: T, before: Option<Self>) -> Self {
        let since = before.map_or_else(Instant::now, |it| it.since);
        Self { since, word }
    }

    /// Whether it has lasted for `limit`.
    pub(super) fn is_over(&self, limit: Duration) -> bool {
        self.since.elapsed() >= limit
    }
}

impl Endpoints {
    /// What comes next is a new stream's first word.
    pub(super) fn stream_begins(&mut self) {
        self.stale = true;
        self.doubted = None;
    }

    /// None are left, if that can be believed of this stream.
    pub(super) fn none_are_left(&mut self, exists: bool) {
        if self.stale && !self.by_addr.is_empty() {
            self.doubted = Some(Doubt::of(exists, self.doubted.take()));
        } else {
            self.none(exists);
        }
    }

    /// Believes it, if it has been doubted for `limit`.
    pub(super) fn believe(&mut self, limit: Duration) {
        if let Some(doubt) = self.doubted.take_if(|it| it.is_over(limit)) {
            self.none(doubt.word);
            self.sort();
        }
    }

    /// Takes a silence of `limit` for a service that exists and has no endpoints; it counts from
    /// `answered` at the earliest.
    pub(super) fn drop_silent(&mut self, answered: Instant, limit: Duration) {
        let is_over = |since: &mut Instant| answered.max(*since).elapsed() >= limit;
        if self.silent_since.take_if(is_over).is_some() {
            self.none(true);
            self.sort();
        }
    }

    fn none(&mut self, exists: bool) {
        self.by_addr.clear();
        self.answered = true;
        self.stale = false;
        self.exists = exists;
    }

    /// Says whether there was anything to add, and all of it could be read.
    pub(super) fn add(&mut self, leaf: &str, set: &api::WeightedAddrSet) -> bool {
        let added: Vec<_> = set
            .addrs
            .iter()
            .filter_map(|addr| wire::endpoint_from_wire(addr, &set.metric_labels))
            .collect();
        let is_whole = !added.is_empty() && added.len() == set.addrs.len();
        if added.len() < set.addrs.len() {
            let unreadable = set.addrs.len() - added.len();
            tracing::warn!(
                leaf,
                unreadable,
                "the controller sent addresses that are none"
            );
        }
        self.answered = true;
        if added.is_empty() {
            // Says nothing: taking endpoints away has messages of its own.
            return false;
        }
        self.exists = true;
        self.doubted = None;
        if std::mem::take(&mut self.stale) {
            self.by_addr.clear();
        }
        for endpoint in added {
            if self.by_addr.len() >= MAX_ENDPOINTS && !self.by_addr.contains_key(&endpoint.addr) {
                tracing::warn!(
                    leaf,
                    "more than {MAX_ENDPOINTS} endpoints; ignoring the rest"
                );
                break;
            }
            self.by_addr.insert(endpoint.addr, endpoint);
        }
        is_whole
    }

    pub(super) fn remove(&mut self, set: &api::AddrSet) {
        for addr in set.addrs.iter().filter_map(wire::addr_from_wire) {
            self.by_addr.remove(&addr);
        }
    }

    /// Keeps the shared list, and so its address, if nothing changed.
    pub(super) fn sort(&mut self) {
        if !self.sorted.iter().eq(self.by_addr.values()) {
            self.sorted = self.by_addr.values().cloned().collect();
        }
    }
}
