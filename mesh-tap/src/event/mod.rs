mod display;
#[cfg(feature = "serde")]
mod json;

pub use self::display::{Wide, grpc_name};

use http::{HeaderMap, Method, StatusCode, Version};
use mesh_core::Direction;
use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

/// Names and values, such as the pod and the deployment that an endpoint belongs to.
pub type Labels = Arc<[(String, String)]>;

/// Something that happened to a request: it began, it was answered, or it is over.
///
/// `Display` is one line as `linkerd viz tap` prints it; [`wide`](Self::wide) appends every
/// label. Events are plain data, so that those of another process can be shown in the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Identifier of the exchange.
    pub id: EventId,
    /// Toward the local application or away from it.
    pub direction: Direction,
    /// Source of the request.
    pub source: Peer,
    /// Destination of the request.
    pub destination: Peer,
    /// Labels of the request's route: `route`, its name, and `attempt` for a retry.
    pub route: Labels,
    /// The kind of event and its data.
    pub kind: EventKind,
}

/// Tells exchanges apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EventId {
    /// One number for each subscription.
    pub base: u32,
    /// One number for each exchange of a subscription.
    pub stream: u64,
}

/// One end of an exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peer {
    /// Its address, if known.
    pub addr: Option<SocketAddr>,
    /// Its labels.
    pub labels: Labels,
}

impl Peer {
    /// The value of the label called `name`.
    pub fn label(&self, name: &str) -> Option<&str> {
        label(&self.labels, name)
    }
}

pub(crate) fn label<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    let (_, value) = labels.iter().find(|(known, _)| known == name)?;
    Some(value)
}

/// The kind of event and its data.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The request was sent.
    Request(RequestInit),
    /// The head of its response came.
    Response(ResponseInit),
    /// It is over; nothing follows.
    End(ResponseEnd),
}

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestInit {
    /// Its method.
    pub method: Method,
    /// The scheme of its URI, if it has one.
    pub scheme: Option<String>,
    /// The authority of its URI, else its `Host`; may be empty.
    pub authority: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query, if it has one and headers were asked for, secrets replaced.
    pub query: Option<String>,
    /// The version of HTTP it came in, if known.
    pub version: Option<Version>,
    /// Its headers, if they were asked for, secrets replaced.
    pub headers: Option<HeaderMap>,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseInit {
    /// The time since the request was sent.
    pub since_request: Duration,
    /// Its status.
    pub status: StatusCode,
    /// The version of HTTP it came in, if known.
    pub version: Option<Version>,
    /// Its headers, if they were asked for, secrets replaced.
    pub headers: Option<HeaderMap>,
}

/// The end of an exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseEnd {
    /// The time since the request was sent.
    pub since_request: Duration,
    /// The time since the response's head came; absent if it never did.
    pub since_response: Option<Duration>,
    /// The length of the response body, as far as it was read.
    pub bytes: u64,
    /// The gRPC status, if the response stated one.
    pub grpc_status: Option<u16>,
    /// The HTTP/2 error code the exchange was broken off with, where one fits: 8, CANCEL, when
    /// the reader of the response went away.
    pub reset_code: Option<u32>,
    /// Reason for a missing or incomplete response: the word for a [`Fault`](mesh_core::Fault).
    pub reason: Option<Cow<'static, str>>,
    /// Reason why a failure of a retryable kind was not retried: the word for a
    /// [`RetrySkipped`](mesh_core::RetrySkipped). It is known only if
    /// [`Tap::exchange`](crate::Tap::exchange) is above the retries.
    pub not_retried: Option<Cow<'static, str>>,
    /// The trailers, if headers were asked for, secrets replaced.
    pub trailers: Option<HeaderMap>,
}

#[cfg(feature = "serde")]
pub(crate) const VERSIONS: [Version; 5] = [
    Version::HTTP_09,
    Version::HTTP_10,
    Version::HTTP_11,
    Version::HTTP_2,
    Version::HTTP_3,
];

/// Returns the version's name in logs, `HTTP/1.1` or `HTTP/2`.
#[cfg(any(feature = "serde", feature = "har"))]
pub(crate) fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "unknown",
    }
}

impl Event {
    /// The name of the route, if the request matched one.
    pub fn route_name(&self) -> Option<&str> {
        label(&self.route, "route")
    }

    /// Returns the number of the attempt; the original request is 1.
    pub fn attempt(&self) -> u32 {
        let attempt = label(&self.route, "attempt");
        attempt.and_then(|n| n.parse().ok()).unwrap_or(1)
    }

    /// The end that is not the local application's.
    pub fn peer(&self) -> &Peer {
        match self.direction {
            Direction::Inbound => &self.source,
            Direction::Outbound => &self.destination,
        }
    }

    /// This event as a line with every label at its end.
    pub fn wide(&self) -> Wide<'_> {
        Wide(self)
    }
}
