use crate::{
    Peer, RequestInit, ResponseEnd,
    event::{Labels, label},
};
use mesh_core::Direction;
use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

/// One condition of a [`Filter`](crate::Filter).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase")
)]
#[non_exhaustive]
pub enum Condition {
    /// Every one of these holds.
    All(Vec<Self>),
    /// At least one of these holds.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// The request's method.
    Method(String),
    /// The scheme of the request's URI.
    Scheme(String),
    /// The request's authority.
    Authority(Text),
    /// The request's path, without the query.
    Path(Text),
    /// The name of the request's route.
    Route(String),
    /// A label of the request's route.
    RouteLabel(String, String),
    /// Toward the local application or away from it.
    Inbound(bool),
    /// The source is in this network: an address and how many of its bits count.
    SourceIn(IpAddr, u8),
    /// The source's port is in this range, both ends included.
    SourcePort(u16, u16),
    /// A label of the source.
    SourceLabel(String, String),
    /// The destination is in this network: an address and how many of its bits count.
    DestinationIn(IpAddr, u8),
    /// The destination's port is in this range, both ends included.
    DestinationPort(u16, u16),
    /// A label of the destination.
    DestinationLabel(String, String),
    /// The request is a retry; of a whole exchange: there was one.
    Retried,
    /// The response's status is in this range, both ends included.
    Status(u16, u16),
    /// The response's head, or an error instead of it, took at least this long.
    Slower(Duration),
    /// Something went wrong for this reason, the word for a [`Fault`](crate::Fault).
    Reason(String),
    /// The response's gRPC status.
    GrpcStatus(u16),
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase")
)]
pub enum Text {
    /// It is this.
    Exact(String),
    /// It begins with this.
    Prefix(String),
}

impl Text {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

/// The known properties of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) direction: Direction,
    pub(crate) source: &'a Peer,
    pub(crate) destination: &'a Peer,
    pub(crate) route: &'a Labels,
    pub(crate) request: &'a RequestInit,
    /// `None`: not known yet.
    pub(crate) retried: Option<bool>,
    /// The status and the time it took.
    pub(crate) response: Option<(u16, Duration)>,
    pub(crate) end: Option<&'a ResponseEnd>,
}

/// Combines conditions as SQL does: an unknown fact leaves the result open, unless another decides
/// it.
pub(super) fn all(conditions: &[Condition], facts: &Facts<'_>) -> Option<bool> {
    let mut known = true;
    for condition in conditions {
        match condition.holds(facts) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = false,
        }
    }
    known.then_some(true)
}

impl Condition {
    fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        let over = facts.end.is_some();
        match self {
            Self::All(conditions) => all(conditions, facts),
            Self::Any(conditions) => {
                let mut known = true;
                for condition in conditions {
                    match condition.holds(facts) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => known = false,
                    }
                }
                known.then_some(false)
            }
            Self::Not(condition) => condition.holds(facts).map(|holds| !holds),
            Self::Method(method) => Some(facts.request.method.as_str() == method),
            Self::Scheme(scheme) => Some(facts.request.scheme.as_deref() == Some(scheme)),
            Self::Authority(text) => Some(text.holds(&facts.request.authority)),
            Self::Path(text) => Some(text.holds(&facts.request.path)),
            Self::Route(name) => Some(label(facts.route, "route") == Some(name)),
            Self::RouteLabel(name, value) => Some(label(facts.route, name) == Some(value)),
            Self::Inbound(inbound) => Some((facts.direction == Direction::Inbound) == *inbound),
            Self::SourceIn(net, bits) => Some(is_in(facts.source, *net, *bits)),
            Self::SourcePort(min, max) => Some(has_port(facts.source, *min..=*max)),
            Self::SourceLabel(name, value) => Some(facts.source.label(name) == Some(value)),
            Self::DestinationIn(net, bits) => Some(is_in(facts.destination, *net, *bits)),
            Self::DestinationPort(min, max) => Some(has_port(facts.destination, *min..=*max)),
            Self::DestinationLabel(name, value) => {
                Some(facts.destination.label(name) == Some(value))
            }
            Self::Retried => facts.retried.or(over.then_some(false)),
            Self::Status(min, max) => match facts.response {
                Some((status, _)) => Some((*min..=*max).contains(&status)),
                None => over.then_some(false),
            },
            Self::Slower(limit) => match (facts.response, facts.end) {
                (Some((_, latency)), _) => Some(latency >= *limit),
                (None, Some(end)) => Some(end.since_request >= *limit),
                (None, None) => None,
            },
            Self::Reason(reason) => Some(facts.end?.reason.as_deref() == Some(reason)),
            Self::GrpcStatus(code) => Some(facts.end?.grpc_status == Some(*code)),
        }
    }
}

fn has_port(peer: &Peer, ports: RangeInclusive<u16>) -> bool {
    peer.addr.is_some_and(|addr| ports.contains(&addr.port()))
}

fn is_in(peer: &Peer, net: IpAddr, bits: u8) -> bool {
    let Some(addr) = peer.addr else {
        return false;
    };
    let differ = match (addr.ip().to_canonical(), net.to_canonical()) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => u128::from(ip.to_bits() ^ net.to_bits()) << 96,
        (IpAddr::V6(ip), IpAddr::V6(net)) => ip.to_bits() ^ net.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}
