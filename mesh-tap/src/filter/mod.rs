mod condition;
mod select;
#[cfg(test)]
mod tests;

pub(crate) use self::condition::Facts;
pub use self::{
    condition::{Condition, Text},
    select::Select,
};

use self::condition::all;
use mesh_core::{Direction, Fault};
use std::{
    ops::{Bound, RangeBounds},
    time::Duration,
};

/// A selection of exchanges. All conditions must hold; without conditions every exchange is shown.
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

    /// With headers, trailers and the query, which are copied only for those who ask.
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

    /// Returns true if the exchange is selected, or `None` while that is unknown.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        all(&self.conditions, facts)
    }
}
