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
mod tests {
    use super::*;
    use api::update::Update::{Add, NoEndpoints, Remove};
    use std::net::SocketAddr;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn add(ports: &[u16]) -> api::Update {
        let addrs = ports
            .iter()
            .map(|port| wire::endpoint_to_wire(&Endpoint::new(addr(*port))))
            .collect();
        api::Update {
            update: Some(Add(api::WeightedAddrSet {
                addrs,
                ..Default::default()
            })),
        }
    }

    fn remove(ports: &[u16]) -> api::Update {
        let addrs = ports.iter().map(|port| wire::addr_to_wire(addr(*port)));
        api::Update {
            update: Some(Remove(api::AddrSet {
                addrs: addrs.collect(),
            })),
        }
    }

    fn none(exists: bool) -> api::Update {
        api::Update {
            update: Some(NoEndpoints(api::NoEndpoints { exists })),
        }
    }

    fn profile(name: &str, overrides: &[(&str, u32)]) -> api::DestinationProfile {
        api::DestinationProfile {
            fully_qualified_name: name.into(),
            dst_overrides: overrides
                .iter()
                .map(|(authority, weight)| api::WeightedDst {
                    authority: (*authority).into(),
                    weight: *weight,
                    backend_ref: None,
                })
                .collect(),
            ..Default::default()
        }
    }

    const A: &str = "a.b.svc.cluster.local";
    const A80: &str = "a.b.svc.cluster.local:80";

    fn known() -> Assembly {
        let mut assembly = Assembly::new("a".into());
        assembly.profile(profile(A, &[]), true);
        assembly.update(A80, true, add(&[1, 2]));
        assembly
    }

    fn ports(assembly: &Assembly) -> Vec<u16> {
        let destination = assembly.destination().unwrap();
        let endpoints = destination
            .leaves
            .iter()
            .flat_map(|leaf| leaf.endpoints.iter());
        endpoints.map(|endpoint| endpoint.addr.port()).collect()
    }

    #[test]
    fn a_destination_is_complete_when_each_leaf_is_answered_for() {
        let mut assembly = Assembly::new("a".into());
        assert_eq!(assembly.destination(), None);
        assembly.profile(profile(A, &[]), true);
        assert!(!assembly.is_complete());
        assembly.update(A80, true, add(&[2, 1]));
        assert!(assembly.is_complete());

        let destination = assembly.destination().unwrap();
        assert_eq!(destination.name.as_deref(), Some(A80));
        assert_eq!(destination.leaves.len(), 1);
        assert_eq!(ports(&assembly), [1, 2]);
    }

    #[test]
    fn a_name_outside_the_mesh_has_no_leaves() {
        let mut assembly = Assembly::new("example.com:443".into());
        assembly.profile(profile("", &[]), true);
        assert!(assembly.is_complete());
        assert_eq!(
            assembly.destination(),
            Some(Destination::unknown("example.com:443"))
        );
    }

    #[test]
    fn overrides_are_the_leaves_and_their_endpoints_outlive_a_change_of_weight() {
        let mut assembly = known();
        assembly.profile(
            profile(A, &[(A80, 900), ("c.b.svc", 100), ("c.b.svc:80", 1)]),
            true,
        );
        let destination = assembly.destination().unwrap();
        let shares: Vec<_> = destination
            .leaves
            .iter()
            .map(|leaf| (&*leaf.authority, leaf.weight, leaf.endpoints.len()))
            .collect();
        assert_eq!(shares, [(A80, 900, 2), ("c.b.svc:80", 101, 0)]);
        assert!(!assembly.is_complete());

        assembly.profile(profile(A, &[("x:1", 0)]), true);
        assert_eq!(ports(&assembly), [1, 2]);
    }

    #[test]
    fn updates_add_and_remove() {
        let mut assembly = known();
        assembly.update(A80, false, add(&[3]));
        assembly.update(A80, false, remove(&[1, 9]));
        assert_eq!(ports(&assembly), [2, 3]);
        assembly.update("gone:80", false, add(&[4]));
        assert_eq!(ports(&assembly), [2, 3]);
        assembly.update(A80, false, none(false));
        let leaf = &assembly.destination().unwrap().leaves[0];
        assert!(leaf.endpoints.is_empty() && !leaf.exists);
    }

    #[test]
    fn the_first_answer_of_a_new_stream_replaces_what_the_old_one_said() {
        let mut assembly = known();
        assembly.update(A80, true, add(&[2, 3]));
        assert_eq!(ports(&assembly), [2, 3]);
    }

    #[test]
    fn an_empty_or_unreadable_update_takes_no_endpoint_away() {
        let mut assembly = known();
        assembly.update(A80, true, add(&[]));
        assembly.update(A80, false, add(&[0]));
        assembly.update(A80, false, api::Update { update: None });
        assert_eq!(ports(&assembly), [1, 2]);
        assert_eq!(assembly.take_ignored(), 3);
        // The stream's first real answer still replaces everything.
        assembly.update(A80, false, add(&[5]));
        assert_eq!(ports(&assembly), [5]);
    }

    #[test]
    fn a_new_stream_that_takes_everything_away_is_doubted_until_it_has_had_its_time() {
        let mut assembly = known();
        assembly.update(A80, true, none(false));
        assembly.profile(profile("", &[]), true);
        assert!(assembly.doubted_since().is_some());
        assert_eq!(ports(&assembly), [1, 2]);

        // The controller comes to know better.
        assembly.profile(profile(A, &[]), false);
        assert!(assembly.doubted_since().is_some());
        assembly.update(A80, false, add(&[3]));
        assert!(assembly.doubted_since().is_none());
        assert_eq!(ports(&assembly), [3]);

        // It does not.
        assembly.update(A80, true, none(true));
        assembly.profile(profile("", &[]), true);
        assembly.believe(Duration::ZERO);
        assert!(assembly.doubted_since().is_none());
        assert_eq!(assembly.destination(), Some(Destination::unknown("a")));
    }

    #[test]
    fn a_doubt_ends_with_its_stream_and_leaves_the_others() {
        let mut assembly = known();
        assembly.update(A80, true, none(false));
        assembly.profile(profile("", &[]), true);
        assembly.profile_ended();
        assert!(assembly.doubted_since().is_some());
        assembly.believe(Duration::MAX);
        assert!(assembly.doubted_since().is_some());
        assembly.leaf_ended(A80);
        assembly.leaf_ended("gone:80");
        assert!(assembly.doubted_since().is_none());
        assembly.believe(Duration::ZERO);
        assert_eq!(ports(&assembly), [1, 2]);
        // What the next stream says replaces all of it nevertheless.
        assembly.update(A80, true, add(&[3]));
        assert_eq!(ports(&assembly), [3]);
    }

    #[test]
    fn what_a_stream_takes_away_after_its_first_word_is_believed_at_once() {
        let mut assembly = known();
        assembly.update(A80, true, add(&[1]));
        assembly.update(A80, false, none(true));
        assert!(ports(&assembly).is_empty());
        assembly.profile(profile(A, &[]), true);
        assembly.profile(profile("", &[]), false);
        assert_eq!(assembly.destination(), Some(Destination::unknown("a")));
        assert!(assembly.doubted_since().is_none());
    }

    #[test]
    fn an_unchanged_list_keeps_its_address() {
        let mut assembly = known();
        let before = assembly.destination().unwrap();
        assembly.update(A80, true, add(&[1, 2]));
        let after = assembly.destination().unwrap();
        assert!(Arc::ptr_eq(
            &before.leaves[0].endpoints,
            &after.leaves[0].endpoints
        ));
    }

    #[test]
    fn the_address_of_one_endpoint_is_that_endpoint() {
        let mut assembly = Assembly::new("127.0.0.1:7".into());
        let mut message = profile(A, &[]);
        message.endpoint = Some(wire::endpoint_to_wire(&Endpoint::new(addr(7))));
        assembly.profile(message, true);
        assert!(assembly.is_complete());
        assert_eq!(ports(&assembly), [7]);
    }
}
