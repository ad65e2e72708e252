use super::endpoints::{Doubt, Endpoints};
use crate::{Destination, Endpoint, Leaf, wire};
use linkerd2_proxy_api::destination as api;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most leaves of a destination that are followed: what exceeds them is ignored with a warning,
/// so that a controller gone mad cannot exhaust the memory.
const MAX_LEAVES: usize = 128;

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
    ignored: u64,
}

#[derive(Debug)]
struct Apex {
    /// As the destination has it, still without leaves.
    destination: Destination,
    /// The leaves and their weights, as declared.
    shares: Vec<(Arc<str>, u32)>,
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
            ignored: 0,
        }
    }

    /// Takes a new profile; `first` of a new stream. The leaves to follow from now on are
    /// [`leaves`](Self::leaves).
    pub(super) fn profile(&mut self, message: api::DestinationProfile, first: bool) {
        let known = self
            .apex
            .as_ref()
            .and_then(|it| it.destination.name.as_ref());
        let vanishes = known.is_some() && wire::name(&message, &self.authority).is_none();
        let before = self.doubted.take().filter(|_| !first);
        if vanishes && (first || before.is_some()) {
            self.doubted = Some(Doubt::of(Box::new(message), before));
            return;
        }
        self.believed(&message);
    }

    fn believed(&mut self, message: &api::DestinationProfile) {
        let profile = wire::profile_from_wire(message);
        let mut destination = Destination::unknown(self.authority.clone()).with_profile(profile);
        destination.opaque = message.opaque_protocol;

        let mut shares: Vec<(Arc<str>, u32)> = Vec::new();
        let mut endpoint = None;
        if let Some(name) = wire::name(message, &self.authority) {
            let name: Arc<str> = name.into();
            destination.name = Some(name.clone());
            // As in Linkerd, a split that gives nobody anything is no split.
            if message.dst_overrides.iter().any(|dst| dst.weight > 0) {
                for dst in message.dst_overrides.iter().take(MAX_LEAVES) {
                    let leaf = wire::authority(&dst.authority, &self.authority);
                    match shares.iter_mut().find(|(name, _)| **name == *leaf) {
                        Some((_, weight)) => *weight = weight.saturating_add(dst.weight),
                        None => shares.push((leaf.into(), dst.weight)),
                    }
                }
                if message.dst_overrides.len() > MAX_LEAVES {
                    tracing::warn!(authority = %self.authority, "more than {MAX_LEAVES} leaves");
                }
            } else {
                shares.push((name, 1));
            }
        }
        if let Some(addr) = &message.endpoint {
            endpoint = wire::endpoint_from_wire(addr, &Default::default());
            if endpoint.is_some() {
                shares.clear();
            }
        }

        self.leaves
            .retain(|name, _| shares.iter().any(|(share, _)| share == name));
        for (name, _) in &shares {
            self.leaves.entry(name.clone()).or_default();
        }
        self.apex = Some(Apex {
            destination,
            shares,
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
        let mut destination = apex.destination.clone();
        if let Some(endpoint) = &apex.endpoint {
            let leaf = Leaf::new(self.authority.clone(), [endpoint.clone()]);
            return Some(destination.with_leaves([leaf]));
        }
        destination.leaves = apex
            .shares
            .iter()
            .map(|(authority, weight)| {
                let known = self.leaves.get(authority);
                Leaf {
                    authority: authority.clone(),
                    weight: *weight,
                    endpoints: known.map(|leaf| leaf.sorted.clone()).unwrap_or_default(),
                    exists: known.is_none_or(|leaf| leaf.exists || !leaf.answered),
                }
            })
            .collect();
        Some(destination)
    }
}

#[cfg(test)]
mod tests;
