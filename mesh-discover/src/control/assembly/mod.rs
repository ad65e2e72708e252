use super::endpoints::{Endpoints, PendingRemoval};
use crate::{Backend, Destination, Endpoint, RouteRule, Share, wire};
use linkerd2_proxy_api::destination as api;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Builds a destination from one profile and the endpoints of each of its leaves.
///
/// It does no I/O: messages in, destinations out. See [`Control`](super::Control) for the rules.
#[derive(Debug)]
pub(super) struct Assembly {
    authority: Arc<str>,
    apex: Option<Apex>,
    leaves: BTreeMap<Arc<str>, Endpoints>,
    /// A profile of a new stream that removes the destination, not yet applied.
    pending_removal: Option<PendingRemoval<Box<api::DestinationProfile>>>,
    /// The time of the first profile on the present stream; `None` while there is no stream.
    answered: Option<Instant>,
    ignored: u64,
}

#[derive(Debug)]
struct Apex {
    /// The destination, still without backends.
    destination: Destination,
    /// The endpoint itself, if the authority is the address of one.
    endpoint: Option<Endpoint>,
}

impl Assembly {
    pub(super) fn new(authority: Arc<str>) -> Self {
        Self {
            authority,
            apex: None,
            leaves: BTreeMap::new(),
            pending_removal: None,
            answered: None,
            ignored: 0,
        }
    }

    /// Takes a new profile; `first` is true for the first one of a stream. It may change
    /// [`leaves`](Self::leaves).
    pub(super) fn profile(&mut self, message: api::DestinationProfile, first: bool) {
        self.answered.get_or_insert_with(Instant::now);
        let known = self.apex.as_ref().and_then(|it| it.destination.name());
        let vanishes = known.is_some() && wire::name(&message, &self.authority).is_none();
        let before = self.pending_removal.take().filter(|_| !first);
        if vanishes && (first || before.is_some()) {
            self.pending_removal = Some(PendingRemoval::new(Box::new(message), before));
            return;
        }
        self.apply_profile(&message);
    }

    fn apply_profile(&mut self, message: &api::DestinationProfile) {
        let (destination, endpoint) = wire::destination_from_wire(message, &self.authority);
        // The one endpoint of a pod's address needs no stream.
        let wanted = |name: &Arc<str>| {
            let mut rules = destination.rules().iter();
            endpoint.is_none()
                && rules.any(|rule| rule.shares().iter().any(|share| share.backend() == name))
        };
        self.leaves.retain(|name, _| wanted(name));
        for share in destination.rules().iter().flat_map(RouteRule::shares) {
            if endpoint.is_none() {
                self.leaves.entry(share.backend().clone()).or_default();
            }
        }
        self.apex = Some(Apex {
            destination,
            endpoint,
        });
    }

    /// Takes an update of the endpoints of `leaf`; `first` is true for the first one of a stream.
    pub(super) fn update(&mut self, leaf: &str, first: bool, message: api::Update) {
        let Some(endpoints) = self.leaves.get_mut(leaf) else {
            return; // A late message of a stream that is being closed.
        };
        if first {
            endpoints.stream_begins();
        }
        endpoints.silent_since = None;
        match message.update {
            Some(api::update::Update::Add(set)) => {
                self.ignored += u64::from(!endpoints.add(leaf, &set));
            }
            Some(api::update::Update::Remove(set)) => endpoints.remove(&set),
            Some(api::update::Update::NoEndpoints(none)) => {
                endpoints.no_endpoints(none.exists);
            }
            None => {
                tracing::warn!(leaf, "the controller sent an update without content");
                self.ignored += 1;
                return;
            }
        }
        endpoints.sort();
    }

    /// The profile's stream ended: forgets its pending removal.
    pub(super) fn profile_ended(&mut self) {
        self.pending_removal = None;
        self.answered = None;
    }

    /// The endpoints of `leaf` are requested on a new stream, which may stay silent.
    pub(super) fn leaf_requested(&mut self, leaf: &str) {
        if let Some(endpoints) = self.leaves.get_mut(leaf) {
            endpoints.silent_since = Some(Instant::now());
        }
    }

    /// The earliest time since which a new endpoint stream has been silent although the profile was
    /// answered: the leaf may have no endpoints any more.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let answered = self.answered?;
        let leaves = self.leaves.values().filter_map(|leaf| leaf.silent_since);
        leaves.min().map(|since| since.max(answered))
    }

    /// Drops the endpoints of the streams that have been silent for `limit`.
    pub(super) fn drop_silent(&mut self, limit: Duration) {
        let Some(answered) = self.answered else {
            return;
        };
        for endpoints in self.leaves.values_mut() {
            endpoints.drop_silent(answered, limit);
        }
    }

    /// The endpoint stream of `leaf` ended: forgets its pending removal.
    pub(super) fn leaf_ended(&mut self, leaf: &str) {
        if let Some(endpoints) = self.leaves.get_mut(leaf) {
            endpoints.pending_removal = None;
        }
    }

    /// The time of the earliest pending removal. The controller may just have started, without full
    /// knowledge of the mesh.
    pub(super) fn removal_pending_since(&self) -> Option<Instant> {
        let leaves = self
            .leaves
            .values()
            .filter_map(|leaf| leaf.pending_removal.as_ref());
        let since = leaves.map(|pending| pending.since);
        since
            .chain(self.pending_removal.as_ref().map(|pending| pending.since))
            .min()
    }

    /// Applies the removals that have been pending for `limit`.
    pub(super) fn apply_overdue_removals(&mut self, limit: Duration) {
        for endpoints in self.leaves.values_mut() {
            endpoints.apply_overdue_removals(limit);
        }
        if let Some(pending) = self.pending_removal.take_if(|it| it.has_lasted(limit)) {
            self.apply_profile(&pending.content);
        }
    }

    /// Returns and resets the number of ignored messages.
    pub(super) fn take_ignored(&mut self) -> u64 {
        std::mem::take(&mut self.ignored)
    }

    /// The leaves whose endpoints must be known.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Arc<str>> {
        self.leaves.keys()
    }

    pub(super) fn has_leaf(&self, leaf: &str) -> bool {
        self.leaves.contains_key(leaf)
    }

    /// Returns true if the profile and all leaves have been answered.
    pub(super) fn is_complete(&self) -> bool {
        self.apex.is_some() && self.leaves.values().all(|leaf| leaf.answered)
    }

    /// The destination so far; `None` before the first profile. Leaves without an answer have no
    /// endpoints.
    pub(super) fn destination(&self) -> Option<Destination> {
        let apex = self.apex.as_ref()?;
        let destination = apex.destination.clone();
        if let Some(endpoint) = &apex.endpoint {
            let backend = Backend::new(self.authority.clone(), [endpoint.clone()]);
            return Some(destination.with_backend(backend));
        }
        let names = destination.rules().iter().flat_map(RouteRule::shares);
        let mut backends: Vec<Backend> = Vec::new();
        for name in names.map(Share::backend) {
            if backends.iter().all(|known| known.name() != name) {
                let known = self.leaves.get(name);
                let endpoints = known.map(|leaf| leaf.sorted.clone()).unwrap_or_default();
                let exists = known.is_none_or(|leaf| leaf.exists || !leaf.answered);
                backends.push(Backend::of(name.clone(), endpoints).with_existence(exists));
            }
        }
        Some(destination.with_backends(backends))
    }
}

#[cfg(test)]
mod tests;
