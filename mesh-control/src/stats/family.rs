//! The metric families that the questions need.

/// The upper bounds of every latency histogram, in milliseconds; one more bucket is unbounded.
pub const BOUNDS: [u32; 25] = [
    1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1_000, 2_000, 3_000, 4_000, 5_000,
    10_000, 20_000, 30_000, 40_000, 50_000,
];

/// A metric family; the rest of a sidecar's metrics is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `request_total`: dispatched, per endpoint.
    Requests,
    /// `response_total`: ended, per endpoint.
    Responses,
    /// `response_latency_ms_bucket`, per endpoint.
    Latency,
    /// `route_request_total`: dispatched, per route, as the caller sees it.
    RouteRequests,
    /// `route_response_total`.
    RouteResponses,
    /// `route_response_latency_ms_bucket`.
    RouteLatency,
    /// `route_actual_request_total`: dispatched, per route, each attempt.
    ActualRequests,
    /// `route_actual_response_total`.
    ActualResponses,
    /// `tcp_open_total`.
    TcpOpened,
    /// `tcp_open_connections`, the one gauge.
    TcpOpen,
    /// `tcp_read_bytes_total`.
    TcpRead,
    /// `tcp_write_bytes_total`.
    TcpWritten,
}

impl Family {
    /// The family a sample's name belongs to.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "request_total" => Self::Requests,
            "response_total" => Self::Responses,
            "response_latency_ms_bucket" => Self::Latency,
            "route_request_total" => Self::RouteRequests,
            "route_response_total" => Self::RouteResponses,
            "route_response_latency_ms_bucket" => Self::RouteLatency,
            "route_actual_request_total" => Self::ActualRequests,
            "route_actual_response_total" => Self::ActualResponses,
            "tcp_open_total" => Self::TcpOpened,
            "tcp_open_connections" => Self::TcpOpen,
            "tcp_read_bytes_total" => Self::TcpRead,
            "tcp_write_bytes_total" => Self::TcpWritten,
            _ => return None,
        })
    }

    /// Returns true if its samples go up and down.
    pub(crate) fn is_gauge(self) -> bool {
        self == Self::TcpOpen
    }

    /// Returns true if its samples are the buckets of a histogram.
    pub(crate) fn is_histogram(self) -> bool {
        matches!(self, Self::Latency | Self::RouteLatency)
    }
}

/// The bucket of a label `le`; `None` for a bound that is none of [`BOUNDS`], whose count the
/// next wider bucket then contains.
pub(crate) fn bucket(le: &str) -> Option<u8> {
    if le == "+Inf" {
        return u8::try_from(BOUNDS.len()).ok();
    }
    let bound: f64 = le.parse().ok()?;
    let index = BOUNDS.iter().position(|known| f64::from(*known) == bound)?;
    u8::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_recognised_however_they_are_written() {
        assert_eq!(bucket("1"), Some(0));
        assert_eq!(bucket("1.0"), Some(0));
        assert_eq!(bucket("50000"), Some(24));
        assert_eq!(bucket("+Inf"), Some(25));
        assert_eq!(bucket("7"), None);
        assert_eq!(bucket("x"), None);
    }
}
