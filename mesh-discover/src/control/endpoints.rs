use crate::{Endpoint, wire};
use linkerd2_proxy_api::destination as api;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Maximum endpoints of a leaf; the rest is ignored with a warning, so that a faulty controller
/// cannot exhaust the memory.
const MAX_ENDPOINTS: usize = 16_384;

/// The endpoints of one leaf.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pub(super) answered: bool,
    /// The endpoints are from an earlier stream; the first answer of this one replaces them.
    stale: bool,
    pub(super) exists: bool,
    /// A removal of all endpoints by a new stream; true if the service still exists.
    pub(super) pending_removal: Option<PendingRemoval<bool>>,
    /// The time since which a new stream has said nothing, after an older one that had.
    pub(super) silent_since: Option<Instant>,
    by_addr: BTreeMap<SocketAddr, Endpoint>,
    pub(super) sorted: Arc<[Endpoint]>,
}

/// A removal that a new stream announced and that is not applied yet.
#[derive(Debug)]
pub(super) struct PendingRemoval<T> {
    /// Time of the stream's first removal.
    pub(super) since: Instant,
    pub(super) content: T,
}

impl<T> PendingRemoval<T> {
    /// A repeated removal on the same stream does not restart the grace period.
    pub(super) fn new(content: T, before: Option<Self>) -> Self {
        let since = before.map_or_else(Instant::now, |it| it.since);
        Self { since, content }
    }

    /// Returns true if it has been pending for `limit`.
    pub(super) fn has_lasted(&self, limit: Duration) -> bool {
        self.since.elapsed() >= limit
    }
}

impl Endpoints {
    /// The next message is the first of a new stream.
    pub(super) fn stream_begins(&mut self) {
        self.stale = true;
        self.pending_removal = None;
    }

    /// Removes all endpoints: at once, or after the grace period if the stream is new.
    pub(super) fn no_endpoints(&mut self, exists: bool) {
        if self.stale && !self.by_addr.is_empty() {
            self.pending_removal = Some(PendingRemoval::new(exists, self.pending_removal.take()));
        } else {
            self.clear(exists);
        }
    }

    /// Applies the pending removal if it is `limit` old.
    pub(super) fn apply_overdue_removals(&mut self, limit: Duration) {
        if let Some(pending) = self.pending_removal.take_if(|it| it.has_lasted(limit)) {
            self.clear(pending.content);
            self.sort();
        }
    }

    /// Treats a silence of `limit` as a service without endpoints; counted from `answered` at the
    /// earliest.
    pub(super) fn drop_silent(&mut self, answered: Instant, limit: Duration) {
        let is_silent = |since: &mut Instant| answered.max(*since).elapsed() >= limit;
        if self.silent_since.take_if(is_silent).is_some() {
            self.clear(true);
            self.sort();
        }
    }

    fn clear(&mut self, exists: bool) {
        self.by_addr.clear();
        self.answered = true;
        self.stale = false;
        self.exists = exists;
    }

    /// Adds endpoints; returns true if there was at least one and all were readable.
    pub(super) fn add(&mut self, leaf: &str, set: &api::WeightedAddrSet) -> bool {
        let added: Vec<_> = set
            .addrs
            .iter()
            .filter_map(|addr| wire::endpoint_from_wire(addr, &set.metric_labels))
            .collect();
        let is_whole = !added.is_empty() && added.len() == set.addrs.len();
        if added.len() < set.addrs.len() {
            let unreadable = set.addrs.len() - added.len();
            tracing::warn!(leaf, unreadable, "the controller sent invalid addresses");
        }
        self.answered = true;
        if added.is_empty() {
            // An empty `Add` changes nothing: `Remove` and `NoEndpoints` remove endpoints.
            return false;
        }
        self.exists = true;
        self.pending_removal = None;
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

    /// Rebuilds the shared list; an unchanged list keeps its allocation.
    pub(super) fn sort(&mut self) {
        if !self.sorted.iter().eq(self.by_addr.values()) {
            self.sorted = self.by_addr.values().cloned().collect();
        }
    }
}
