use std::{fmt, net::SocketAddr, sync::Arc};

/// A workload that a program registers with a controller: its name, and the service it provides.
///
/// ```
/// use mesh_discover::Workload;
///
/// // Clients in the mesh reach it as `front:8080`; it listens on port 41234.
/// let front = Workload::new("front")
///     .in_namespace("shop")
///     .serving(8080, ([127, 0, 0, 1], 41234).into());
/// ```
#[derive(Clone)]
pub struct Workload {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) service: Option<(u16, SocketAddr)>,
    pub(crate) h2: bool,
    pub(crate) metrics: Option<Metrics>,
}

pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

impl Workload {
    /// Creates the workload `name`, an RFC 1035 label, in the mesh's namespace, without a service.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: String::new(),
            pod: String::new(),
            service: None,
            h2: false,
            metrics: None,
        }
    }

    /// Sets the namespace. Default: the namespace of the mesh.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the name of this replica. By default the controller chooses one.
    #[must_use]
    pub fn as_replica(mut self, pod: impl Into<String>) -> Self {
        self.pod = pod.into();
        self
    }

    /// Provides a service: clients call it by the workload's name and `port`; it listens on `addr`.
    #[must_use]
    pub fn serving(mut self, port: u16, addr: SocketAddr) -> Self {
        self.service = Some((port, addr));
        self
    }

    /// Sets whether clients speak HTTP/2 with prior knowledge, as gRPC needs. Default: false.
    #[must_use]
    pub fn with_h2(mut self, h2: bool) -> Self {
        self.h2 = h2;
        self
    }

    /// Sends the output of `render`, in the Prometheus text format, to the controller every second.
    /// A text of more than 4 MiB is not sent.
    #[must_use]
    pub fn with_metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("pod", &self.pod)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
