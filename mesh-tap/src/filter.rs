use crate::{
    Peer, RequestInit, ResponseEnd,
    event::{Labels, label},
};
use mesh_core::{Direction, Fault};
use std::{
    net::IpAddr,
    ops::{Bound, RangeBounds, RangeInclusive},
    time::Duration,
};

/// Which exchanges to watch. All conditions must hold; without any, every exchange is shown.
///
/// Some conditions are about how an exchange ends. Its events are then held back until they are
/// decided, and come all at once or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Filter {
    #[cfg_attr(feature = "serde", serde(rename = "match"))]
    conditions: Vec<Condition>,
    headers: bool,
    limit: Option<u64>,
}

/// One condition of a [`Filter`].
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
    /// Something went wrong for this reason, the word for a [`Fault`].
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

impl Filter {
    /// Every exchange.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only where `condition` holds, too.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Only requests of this method.
    #[must_use]
    pub fn method(self, method: impl AsRef<str>) -> Self {
        self.and(Condition::Method(method.as_ref().into()))
    }

    /// Only requests for this authority.
    #[must_use]
    pub fn authority(self, authority: impl Into<String>) -> Self {
        self.and(Condition::Authority(Text::Exact(authority.into())))
    }

    /// Only requests whose path begins with this.
    #[must_use]
    pub fn path_prefix(self, prefix: impl Into<String>) -> Self {
        self.and(Condition::Path(Text::Prefix(prefix.into())))
    }

    /// Only requests of the route with this name.
    #[must_use]
    pub fn route(self, name: impl Into<String>) -> Self {
        self.and(Condition::Route(name.into()))
    }

    /// Only requests in this direction.
    #[must_use]
    pub fn direction(self, direction: Direction) -> Self {
        self.and(Condition::Inbound(direction == Direction::Inbound))
    }

    /// Only requests to a destination with this label.
    #[must_use]
    pub fn destination_label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.and(Condition::DestinationLabel(name.into(), value.into()))
    }

    /// Only exchanges whose response has a status in this range, such as `500..`.
    #[must_use]
    pub fn status(self, status: impl RangeBounds<u16>) -> Self {
        let first = match status.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let last = match status.end_bound() {
            Bound::Included(last) => *last,
            Bound::Excluded(after) => after.saturating_sub(1),
            Bound::Unbounded => u16::MAX,
        };
        self.and(Condition::Status(first, last))
    }

    /// Only exchanges whose response, or an error instead of it, took at least this long.
    #[must_use]
    pub fn slower_than(self, latency: Duration) -> Self {
        self.and(Condition::Slower(latency))
    }

    /// Only retries; at [`Tap::exchange`](crate::Tap::exchange), only what was retried.
    #[must_use]
    pub fn retried(self) -> Self {
        self.and(Condition::Retried)
    }

    /// Only exchanges that went wrong for this reason.
    #[must_use]
    pub fn reason(self, fault: Fault) -> Self {
        self.and(Condition::Reason(fault.as_str().into()))
    }

    /// Only exchanges with this gRPC status.
    #[must_use]
    pub fn grpc_status(self, code: u16) -> Self {
        self.and(Condition::GrpcStatus(code))
    }

    /// With headers and trailers, which are copied only for those who ask.
    #[must_use]
    pub fn with_headers(mut self) -> Self {
        self.headers = true;
        self
    }

    /// Only the first `limit` exchanges; the events end when these are over.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn wants_headers(&self) -> bool {
        self.headers
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// Whether the exchange is selected, as far as the facts tell.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        all(&self.conditions, facts)
    }
}

/// What is known of an exchange so far.
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

/// As in SQL: what is not known yet decides nothing, unless something known already does.
fn all(conditions: &[Condition], facts: &Facts<'_>) -> Option<bool> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn facts<R>(end: Option<&ResponseEnd>, ask: impl FnOnce(Facts<'_>) -> R) -> R {
        let peer = |addr: &str, name: &str| Peer {
            addr: Some(addr.parse().unwrap()),
            labels: [("pod".to_owned(), name.to_owned())].into(),
        };
        ask(Facts {
            direction: Direction::Outbound,
            source: &peer("127.0.0.1:4000", "web-0"),
            destination: &peer("10.1.2.3:7002", "books-0"),
            route: &[("route".to_owned(), "GET /books".to_owned())].into(),
            request: &RequestInit {
                method: Method::GET,
                authority: "books:7002".into(),
                path: "/books/1".into(),
                ..RequestInit::default()
            },
            retried: Some(false),
            response: None,
            end,
        })
    }

    fn at_once(filter: &Filter) -> Option<bool> {
        facts(None, |facts| filter.holds(&facts))
    }

    #[test]
    fn conditions_on_the_request_are_decided_at_once() {
        let net = |net: &str, bits| {
            Filter::new().and(Condition::DestinationIn(net.parse().unwrap(), bits))
        };
        let port = |min, max| Filter::new().and(Condition::DestinationPort(min, max));
        for (filter, expected) in [
            (Filter::new(), true),
            (
                Filter::new().method(Method::GET).path_prefix("/books"),
                true,
            ),
            (Filter::new().method("POST").path_prefix("/books"), false),
            (Filter::new().authority("books:7002"), true),
            (Filter::new().authority("books"), false),
            (Filter::new().route("GET /books"), true),
            (Filter::new().direction(Direction::Inbound), false),
            (Filter::new().destination_label("pod", "books-0"), true),
            (Filter::new().destination_label("pod", "web-0"), false),
            (Filter::new().retried(), false),
            (net("10.1.0.0", 16), true),
            (net("10.2.0.0", 16), false),
            (net("10.1.2.3", 32), true),
            (net("10.1.2.2", 32), false),
            (net("99.0.0.0", 0), true),
            (net("::ffff:10.1.0.0", 16), true),
            (net("fd00::", 8), false),
            (port(7000, 7002), true),
            (port(7003, 7003), false),
        ] {
            assert_eq!(at_once(&filter), Some(expected), "{filter:?}");
        }
    }

    #[test]
    fn conditions_on_the_end_wait_for_it_unless_it_cannot_matter() {
        let failed = Filter::new().status(500..);
        assert_eq!(at_once(&failed), None);
        assert_eq!(at_once(&failed.clone().method("PUT")), Some(false));
        let either = Condition::Any(vec![
            Condition::Status(500, 599),
            Condition::Method("GET".into()),
        ]);
        assert_eq!(at_once(&Filter::new().and(either)), Some(true));
        let not = Condition::Not(Box::new(Condition::Status(200, 299)));
        assert_eq!(at_once(&Filter::new().and(not.clone())), None);

        let end = ResponseEnd {
            reason: Some("timeout".into()),
            since_request: Duration::from_secs(1),
            ..ResponseEnd::default()
        };
        for (filter, expected) in [
            (failed, false),
            (Filter::new().and(not), true),
            (Filter::new().reason(Fault::Elapsed), true),
            (Filter::new().reason(Fault::Reset), false),
            (Filter::new().slower_than(Duration::from_millis(300)), true),
            (Filter::new().slower_than(Duration::from_secs(2)), false),
            (Filter::new().grpc_status(14), false),
        ] {
            let holds = facts(Some(&end), |facts| filter.holds(&facts));
            assert_eq!(holds, Some(expected), "{filter:?}");
        }
    }

    #[test]
    fn a_status_decides_before_the_end() {
        for (range, expected) in [(500..=599, true), (200..=299, false)] {
            let holds = facts(None, |facts| {
                let response = Some((503, Duration::ZERO));
                Filter::new()
                    .status(range)
                    .holds(&Facts { response, ..facts })
            });
            assert_eq!(holds, Some(expected));
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn filters_are_plain_data() {
        let filter = Filter::new()
            .method("GET")
            .path_prefix("/books")
            .status(500..=599)
            .and(Condition::Any(vec![Condition::Retried]))
            .limit(10);
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(
            text,
            r#"{"match":[{"method":"GET"},{"path":{"prefix":"/books"}},{"status":[500,599]},{"any":["retried"]}],"headers":false,"limit":10}"#
        );
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
        assert_eq!(serde_json::from_str::<Filter>("{}").unwrap(), Filter::new());
    }
}
