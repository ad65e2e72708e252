//! `edges`: callers and the resources that they call.

use super::{label_of_destination, label_of_source};
use crate::stats::{Direction, Family, Increase, Store};
use mesh_api::Kind;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// The greatest age of a request or connection that makes an edge; an open connection always does.
const RECENT: Duration = Duration::from_secs(60);

/// A question about edges.
#[derive(Clone, Debug)]
pub struct EdgesQuery {
    /// Between resources of which kind.
    pub kind: Kind,
    /// With one side in which namespace; `None` for all.
    pub namespace: Option<String>,
}

/// One client and one server that it calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Name of the client.
    pub src: String,
    /// Namespace of the client.
    pub src_namespace: String,
    /// Name of the server.
    pub dst: String,
    /// Namespace of the server.
    pub dst_namespace: String,
    /// TLS identity of the client.
    pub client_id: Option<String>,
    /// TLS identity of the server.
    pub server_id: Option<String>,
    /// Reason for which the connection has no TLS; `None` if it has.
    pub no_tls_reason: Option<String>,
}

/// Answers a question about edges, by namespaces and names.
pub fn edges(store: &Store, now: Instant, query: &EdgesQuery) -> Vec<Edge> {
    let span = store.span(now, RECENT);
    let mut edges = BTreeSet::new();
    let mut see = |increase: &Increase<'_>| {
        edges.extend(edge(query, increase));
    };
    store.increases(span, &mut see);
    store.gauges(span, &mut see);
    let mut edges: Vec<_> = edges.into_iter().collect();
    edges.sort_by(|one, other| {
        let key = |edge: &Edge| (edge.src_namespace.clone(), edge.dst_namespace.clone());
        key(one).cmp(&key(other)).then_with(|| one.cmp(other))
    });
    edges
}

fn edge(query: &EdgesQuery, increase: &Increase<'_>) -> Option<Edge> {
    let (labels, source) = (increase.labels, increase.source);
    let is_use = matches!(
        increase.family,
        Family::Requests | Family::TcpOpened | Family::TcpOpen
    );
    if !is_use || increase.count == 0 || labels.direction != Direction::Outbound {
        return None;
    }
    let src = match query.kind {
        // A service calls nobody; its callers are workloads.
        Kind::Service => &source.deployment,
        kind => label_of_source(kind, source)?,
    };
    let (dst_namespace, dst) = label_of_destination(query.kind, increase)?;
    let is_in = |namespace: &str| {
        query
            .namespace
            .as_deref()
            .is_none_or(|own| own == namespace)
    };
    if !is_in(&source.namespace) && !is_in(dst_namespace) {
        return None;
    }
    let text = |label: &Option<std::sync::Arc<str>>| label.as_deref().map(str::to_owned);
    let is_secured = labels.tls.as_deref() == Some("true");
    Some(Edge {
        src: src.to_owned(),
        src_namespace: source.namespace.to_string(),
        dst: dst.to_owned(),
        dst_namespace: dst_namespace.to_owned(),
        client_id: text(&labels.client_id),
        server_id: text(&labels.server_id),
        no_tls_reason: match &labels.no_tls_reason {
            _ if is_secured => None,
            Some(reason) => Some(reason.to_string()),
            None => Some(labels.tls.as_deref().unwrap_or("disabled").to_owned()),
        },
    })
}
