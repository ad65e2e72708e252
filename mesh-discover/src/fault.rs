use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A fault that a controller wants injected into requests to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// Number of the fault at the controller.
    pub id: u64,
    /// Full name of the service that is called, without a port.
    pub service: Arc<str>,
    /// Name of the route; `None` for all requests.
    pub route: Option<Arc<str>>,
    /// Share of the requests in millionths, from 1 to 1,000,000.
    pub share: u32,
    /// The fault.
    pub kind: FaultKind,
    /// The time at which the fault ends by itself, whether the controller is there or not.
    pub ends: Instant,
}

/// Kind of a [`FaultRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The request is answered with this HTTP status, from 400 to 599.
    Status(u16),
    /// A gRPC call is answered with this status, from 1 to 16.
    GrpcStatus(u16),
    /// The request is sent after a delay between these two.
    Delay {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// The connection breaks.
    Reset,
}
