//! `stat ts`: success rate, request rate and latency of the leaves of TrafficSplits.

use super::{
    numbers::Tally,
    stat::{ResourceTraffic, SplitLeaf, StatQuery},
};
use crate::stats::{Direction, Family, Span, Store, Topology};
use mesh_api::Kind;
use std::collections::HashMap;

/// A row for each leaf, by namespace and name of the split and in the order of its leaves.
pub(super) fn rows(
    store: &Store,
    topology: &Topology,
    span: Span,
    query: &StatQuery,
) -> Vec<ResourceTraffic> {
    let wanted = topology.splits.iter().filter(|split| {
        let mut resources = query.resources.iter();
        query.is_in_namespace(&split.namespace)
            && resources.any(|it| it.kind == Kind::TrafficSplit && it.includes(&split.name))
    });
    let mut rows = Vec::new();
    let mut places: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for split in wanted {
        let fqdn = |service: &str| topology.name(service, &split.namespace);
        for (leaf, weight) in &split.leaves {
            let pair = (fqdn(&split.service), fqdn(leaf));
            places.entry(pair).or_default().push(rows.len());
            let leaf = SplitLeaf {
                apex: split.service.to_string(),
                leaf: leaf.to_string(),
                weight: weight.to_string(),
            };
            rows.push((split, leaf, Tally::default()));
        }
    }
    store.increases(span, |increase| {
        let labels = increase.labels;
        let from = query.from.as_ref();
        if labels.direction != Direction::Outbound
            || from.is_some_and(|from| !from.is_source(increase.source))
        {
            return;
        }
        let (Some(apex), Some(leaf)) = (&labels.dst_apex, &labels.authority) else {
            return;
        };
        let pair = (without_port(apex).to_owned(), without_port(leaf).to_owned());
        for place in places.get(&pair).into_iter().flatten() {
            let tally = &mut rows[*place].2;
            match increase.family {
                Family::Responses => tally.add(increase),
                Family::Latency => tally.add_latency(increase),
                _ => {}
            }
        }
    });
    let rows = rows
        .into_iter()
        .map(|(split, leaf, tally)| ResourceTraffic {
            namespace: split.namespace.to_string(),
            name: split.name.to_string(),
            leaf: Some(leaf),
            status: None,
            meshed: None,
            responses: tally.responses(span.end),
            latency: tally.latency(),
            tcp: None,
        });
    rows.collect()
}

fn without_port(authority: &str) -> &str {
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host)
}
