use super::endpoints::{Doubt, Endpoints};
use crate::{Backend, Destination, Endpoint, RouteRule, Share, wire};
use linkerd2_proxy_api::destination as api;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A destination in the making: one profile, and the endpoints of each of its leaves.
///
/// Pure but for the clock: messages in, destinations out; see [`Control`](super::Control) for the
/// rules.
#[derive(Debug)]
pub(super) struct Assembly {
    authority: Arc<str>,
    apex: Option<Apex>,
    leaves: BTreeMap<Arc<str>, Endpoints>,
    /// A new stream's word that there is no such destination any more.
    doubted: Option<Doubt<Box<api::DestinationProfile>>>,
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
            doubted: None,
            answered: None,
            ignored: 0,
        }
    }

    /// Takes a new profile; `first` of a new stream. The leaves to follow from now on are
    /// [`leaves`](Self::leaves).
    pub(super) fn profile(&mut self, message: api::DestinationProfile, first: bool) {
        self.answered.get_or_insert_with(Instant::now);
        let known = self.apex.as_ref().and_then(|it| it.destination.name());
        let vanishes = known.is_some() && wire::name(&message, &self.authority).is_none();
        let before = self.doubted.take().filter(|_| !first);
        if vanishes && (first || before.is_some()) {
            self.doubted = Some(Doubt::of(Box::new(message), before));
            return;
        }
        self.believed(&message);
    }

    fn believed(&mut self, message: &api::DestinationProfile) {
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

    /// Takes news of the endpoints of `leaf`; `first` of a new stream.
    pub(super) fn update(&mut self, leaf: &str, first: bool, message: api::Update) {
        let Some(endpoints) = self.leaves.get_mut(leaf) else {
            return; // The last word of a stream that is being ended.
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
                endpoints.none_are_left(none.exists);
            }
            None => {
                tracing::warn!(leaf, "the controller sent an update without content");
                self.ignored += 1;
                return;
            }
        }
        endpoints.sort();
    }

    /// The stream of the profile is gone, and with it what was doubted of it.
    pub(super) fn profile_ended(&mut self) {
        self.doubted = None;
        self.answered = None;
    }

    /// The endpoints of `leaf` are asked for again, on a stream that may have nothing to say.
    pub(super) fn leaf_asked(&mut self, leaf: &str) {
        if let Some(endpoints) = self.leaves.get_mut(leaf) {
            endpoints.silent_since = Some(Instant::now());
        }
    }

    /// The earliest time since which a new stream of endpoints is silent although the profile has
    /// been answered: it may mean that there are none left.
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

    /// The stream of the endpoints of `leaf` is gone, and with it what was doubted of it.
    pub(super) fn leaf_ended(&mut self, leaf: &str) {
        if let Some(endpoints) = self.leaves.get_mut(leaf) {
            endpoints.doubted = None;
        }
    }

    /// Since when a new stream that took everything away is doubted, the first of several: it may
    /// come from a controller that does not know everything yet.
    pub(super) fn doubted_since(&self) -> Option<Instant> {
        let leaves = self
            .leaves
            .values()
            .filter_map(|leaf| leaf.doubted.as_ref());
        let since = leaves.map(|doubt| doubt.since);
        since
            .chain(self.doubted.as_ref().map(|doubt| doubt.since))
            .min()
    }

    /// Believes what has been doubted for `limit` and not been taken back.
    pub(super) fn believe(&mut self, limit: Duration) {
        for endpoints in self.leaves.values_mut() {
            endpoints.believe(limit);
        }
        if let Some(doubt) = self.doubted.take_if(|it| it.is_over(limit)) {
            self.believed(&doubt.word);
        }
    }

    /// How many messages said nothing of use since this was asked last.
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

    /// Whether every leaf has been answered for.
    pub(super) fn is_complete(&self) -> bool {
        self.apex.is_some() && self.leaves.values().all(|leaf| leaf.answered)
    }

    /// What is known so far; `None` before the first profile. Leaves not yet answered for have
    /// no endpoints.
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
