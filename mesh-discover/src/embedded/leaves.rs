use super::metrics::{Metrics, Series};
use crate::{Destination, Endpoint, Leaf};
use mesh_balance::{Balance, BalanceHandle};
use mesh_split::{Split, SplitHandle};
use mesh_stats::Counted;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tower_layer::Layer as _;

/// The leaves of a destination: a split of balances, and what changes them.
pub(super) struct Leaves<S, F> {
    split: SplitHandle<Balance<Counted<S>>>,
    /// What serves until there is a first leaf, and then is that leaf: whoever waits in it for
    /// an endpoint gets one.
    spare: Option<Balance<Counted<S>>>,
    known: HashMap<Arc<str>, Known<S>>,
    metrics: Metrics,
    connect: F,
}

struct Known<S> {
    balance: Balance<Counted<S>>,
    handle: BalanceHandle<Counted<S>>,
    endpoints: Arc<[Endpoint]>,
    /// For as long as the endpoints are in use.
    series: HashMap<SocketAddr, Arc<Series>>,
}

impl<S, F> Leaves<S, F>
where
    S: Clone,
    F: FnMut(&Endpoint) -> S,
{
    pub(super) fn new(metrics: Metrics, connect: F) -> (Split<Balance<Counted<S>>>, Self) {
        let spare = Balance::new();
        let split = Split::new([(spare.clone(), 1)])
            .expect("one leaf has a weight")
            .available_if(Balance::is_available);
        let leaves = Self {
            split: split.handle(),
            spare: Some(spare),
            known: HashMap::new(),
            metrics,
            connect,
        };
        (split, leaves)
    }

    /// Makes the leaves those of `destination`. Connections, balance and counts of what stays
    /// are kept.
    pub(super) fn apply(&mut self, destination: &Destination) {
        for leaf in &destination.leaves {
            self.apply_leaf(leaf);
        }
        let shares = destination.leaves.iter().map(|leaf| {
            let balance = self.known[&leaf.authority].balance.clone();
            mesh_split::Leaf::new(balance, leaf.weight).named(&*leaf.authority)
        });
        // Without any share, the last good one stays in force, and so do its endpoints.
        if self.split.set(shares).is_ok() {
            let leaves = &destination.leaves;
            self.known
                .retain(|name, _| leaves.iter().any(|leaf| leaf.authority == *name));
        }
    }

    fn apply_leaf(&mut self, leaf: &Leaf) {
        let known = self.known.entry(leaf.authority.clone()).or_insert_with(|| {
            let spare = self.spare.take_if(|_| leaf.weight > 0);
            let balance = spare.unwrap_or_default();
            Known {
                handle: balance.handle(),
                balance,
                endpoints: Arc::default(),
                series: HashMap::new(),
            }
        });
        if known.endpoints == leaf.endpoints {
            return;
        }
        let by_addr = |endpoints: &[Endpoint]| -> HashMap<SocketAddr, Endpoint> {
            let all = endpoints.iter();
            all.map(|one| (one.addr, one.clone())).collect()
        };
        let (old, new) = (by_addr(&known.endpoints), by_addr(&leaf.endpoints));
        let (metrics, connect, series) = (&self.metrics, &mut self.connect, &mut known.series);
        let mut make = |addr| {
            let endpoint = &new[&addr];
            let counts = metrics.endpoint(&leaf.authority, endpoint);
            let service = counts.stats().endpoint().layer(connect(endpoint));
            series.insert(addr, counts);
            service
        };
        let addrs = leaf.endpoints.iter().map(|endpoint| endpoint.addr);
        known.handle.update(addrs, &mut make);
        // What is behind an address may have changed: another replica, another protocol.
        for (addr, endpoint) in &new {
            if old.get(addr).is_some_and(|old| old != endpoint) {
                known.handle.replace(*addr, make(*addr));
            }
        }
        known.series.retain(|addr, _| new.contains_key(addr));
        known.endpoints = leaf.endpoints.clone();
    }
}
