use crate::{Destination, FaultRule, Publisher, Watch, wire};
use std::{
    collections::HashMap,
    error::Error,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::runtime::Handle;
use tonic::codegen::http::{Uri, uri::Authority};

mod assembly;
mod backoff;
mod connection;
mod endpoints;
mod faults;
mod registration;
mod stream;
mod subscription;

pub use self::registration::{Refused, Registered, Registration};

use self::connection::Connection;

/// Address of the controller, identity of the client, and limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ControlConfig {
    addr: Arc<str>,
    uri: Uri,
    /// The client as JSON: `{"ns":"shop","pod":"web-0","nodeName":"laptop"}`. Short names are
    /// resolved in `ns`, whose profiles also win over those of the service's namespace.
    pub context_token: String,
    /// Limit for connecting. Default: 1 s.
    pub connect_timeout: Duration,
    /// Minimum and maximum pause before the next attempt: doubled each time, less a random part of
    /// up to half. Default: 100 ms to 1 s.
    pub backoff: (Duration, Duration),
    /// Grace period before the first message of a new stream may remove a destination or all of its
    /// endpoints, because a controller that has just started may not know all replicas yet. The
    /// removal is dropped if the stream ends sooner. Default: 5 s.
    pub removal_grace: Duration,
    /// Pause before a refused name is requested again, less a random part of up to half.
    /// Default: 30 s.
    pub refused_pause: Duration,
    /// Limit for the first endpoints of a new destination; after it the destination is published
    /// without them. Default: 200 ms.
    pub first_endpoints: Duration,
    /// Namespace and cluster domain that complete short names.
    cluster: Option<(String, String)>,
}

impl ControlConfig {
    /// Creates the configuration for the gRPC address `addr`, `host:port`, with the default limits
    /// and no context token.
    ///
    /// # Errors
    ///
    /// [`InvalidAddr`] if `addr` is not of that form.
    pub fn new(addr: &str) -> Result<Self, InvalidAddr> {
        let invalid = || InvalidAddr(addr.into());
        let authority: Authority = addr.parse().map_err(|_| invalid())?;
        let port = authority.port_u16().filter(|port| *port != 0);
        if port.is_none() || authority.host().is_empty() || addr.contains('@') {
            return Err(invalid());
        }
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority)
            .path_and_query("/")
            .build();
        Ok(Self {
            addr: addr.into(),
            uri: uri.map_err(|_| invalid())?,
            context_token: String::new(),
            connect_timeout: Duration::from_secs(1),
            backoff: (Duration::from_millis(100), Duration::from_secs(1)),
            removal_grace: Duration::from_secs(5),
            refused_pause: Duration::from_secs(30),
            first_endpoints: Duration::from_millis(200),
            cluster: None,
        })
    }

    /// The controller's address, as given.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Completes names that the controller refuses: `web:8080` is requested again as
    /// `web.NAMESPACE.svc.DOMAIN:8080`. Linkerd's controller accepts only full names.
    #[must_use]
    pub fn with_cluster(mut self, namespace: &str, domain: &str) -> Self {
        self.cluster = Some((namespace.into(), domain.into()));
        self
    }

    /// Returns the full form of a short name; `None` if there is none, or if it is full already.
    fn full_name(&self, authority: &str) -> Option<String> {
        let (namespace, domain) = self.cluster.as_ref()?;
        let (host, port) = wire::split_port(authority);
        let host = host.trim_end_matches('.');
        if host.is_empty() || host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let parts: Vec<_> = host.split('.').collect();
        let full = match parts[..] {
            [service] => format!("{service}.{namespace}.svc.{domain}"),
            [_, _] => format!("{host}.svc.{domain}"),
            [_, _, "svc"] => format!("{host}.{domain}"),
            _ => host.to_owned(),
        };
        let full = match port {
            Some(port) => format!("{full}:{port}"),
            None => full,
        };
        (full != authority).then_some(full)
    }

    /// Sets the context token that identifies the client.
    #[must_use]
    pub fn with_context_token(mut self, token: impl Into<String>) -> Self {
        self.context_token = token.into();
        self
    }
}

/// An address that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAddr(Arc<str>);

impl fmt::Display for InvalidAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an address of the form host:port: {:?}", self.0)
    }
}

impl Error for InvalidAddr {}

/// A client of the controller that follows destinations over one connection.
///
/// Clones share the connection and the subscriptions. Tasks run on the runtime that was current
/// in [`Control::new`]; watches may be read on any other.
///
/// # Removal of endpoints
///
/// While the controller is unreachable, the last answer stays in force. After a reconnect, the
/// first answer of each new stream replaces the answers of the old stream. Three messages remove
/// endpoints: `Remove`, `NoEndpoints`, and a first `Add` that lists others. An empty `Add`, one
/// with unreadable addresses, or the end of a stream changes nothing. A new stream that removes
/// all endpoints is obeyed after [`ControlConfig::removal_grace`], if it is still open and has
/// not added any. A new stream that stays silent for the same time after the profile's answer
/// removes the endpoints, too.
///
/// A name that the controller refuses (`InvalidArgument`, `NotFound`, `FailedPrecondition`,
/// `Unknown`) is unknown at once, and requested again after [`ControlConfig::refused_pause`].
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    config: ControlConfig,
    connection: Connection,
    subscriptions: Mutex<HashMap<Arc<str>, Arc<Publisher<Destination>>>>,
    /// Empty or unreadable messages.
    ignored: AtomicU64,
    /// Destinations with a removal in its grace period.
    pending_removals: AtomicU64,
    runtime: Handle,
}

impl Control {
    /// Creates a client that connects when the first destination is requested.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(config: ControlConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                connection: Connection::new(&config),
                config,
                subscriptions: Mutex::default(),
                ignored: AtomicU64::new(0),
                pending_removals: AtomicU64::new(0),
                runtime: Handle::current(),
            }),
        }
    }

    /// Follows `authority`, `host` or `host:port`, until the last clone of the watch is dropped.
    ///
    /// Calls for the same authority share one subscription. The caller bounds the number of
    /// different authorities.
    pub fn destination(&self, authority: &str) -> Watch<Destination> {
        let mut subscriptions = self.shared.subscriptions();
        if let Some(publisher) = subscriptions.get(authority) {
            return publisher.watch();
        }
        let authority: Arc<str> = authority.into();
        let (publisher, watch) = Watch::channel();
        let publisher = Arc::new(publisher);
        subscriptions.insert(authority.clone(), publisher.clone());
        drop(subscriptions);

        let shared = self.shared.clone();
        self.shared
            .runtime
            .spawn(subscription::follow(shared, authority, publisher));
        watch
    }

    /// Follows the faults that this client is to inject, until the last clone of the watch is dropped.
    ///
    /// A controller that lacks `mesh.v1.Faults` has none; it is asked again after
    /// [`ControlConfig::refused_pause`].
    pub fn faults(&self) -> Watch<Vec<FaultRule>> {
        let (publisher, watch) = Watch::channel();
        let shared = self.shared.clone();
        self.shared.runtime.spawn(faults::follow(shared, publisher));
        watch
    }

    /// Returns true if the controller has sent a message on the current connection.
    pub fn is_connected(&self) -> bool {
        self.shared.connection.is_up()
    }

    /// Time since the controller was lost, or since the first attempt to connect failed; `None`
    /// while it is connected. A silent loss is detected after 15 s.
    pub fn lost(&self) -> Option<Duration> {
        let since = self.shared.connection.lost_since()?;
        Some(since.elapsed())
    }

    /// Number of messages ignored because they were empty or unreadable. A correct controller sends
    /// none.
    pub fn ignored(&self) -> u64 {
        self.shared.ignored.load(Relaxed)
    }

    /// Number of destinations whose removal waits for the end of
    /// [`ControlConfig::removal_grace`].
    pub fn pending_removals(&self) -> u64 {
        self.shared.pending_removals.load(Relaxed)
    }
}

impl Shared {
    fn subscriptions(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Publisher<Destination>>>> {
        // Nothing panics while holding the lock.
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the subscription if it still has no reader; returns true if it did.
    fn end_if_unread(&self, authority: &str, publisher: &Publisher<Destination>) -> bool {
        let mut subscriptions = self.subscriptions();
        let unread = publisher.is_closed();
        if unread {
            subscriptions.remove(authority);
        }
        unread
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("addr", &self.shared.config.addr())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_completed() {
        let config = ControlConfig::new("127.0.0.1:8086").unwrap();
        assert_eq!(config.full_name("web:8080"), None);
        let config = config.with_cluster("shop", "cluster.local");
        for (asked, full) in [
            ("web:8080", Some("web.shop.svc.cluster.local:8080")),
            ("web", Some("web.shop.svc.cluster.local")),
            ("web.other:80", Some("web.other.svc.cluster.local:80")),
            ("web.other.svc:80", Some("web.other.svc.cluster.local:80")),
            (
                "web.other.svc.cluster.local.:80",
                Some("web.other.svc.cluster.local:80"),
            ),
            ("web.other.svc.cluster.local:80", None),
            ("10.0.0.1:80", None),
            ("[::1]:80", None),
            ("", None),
        ] {
            assert_eq!(config.full_name(asked).as_deref(), full, "{asked}");
        }
    }
}
