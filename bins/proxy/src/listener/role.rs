use std::{net::SocketAddr, sync::Arc};

/// The treatment of the connections of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The request names its destination.
    Outbound,
    /// One destination; its authority becomes the Host.
    Upstream(Arc<str>),
    /// One destination; the Host is kept.
    Gateway(Arc<str>),
    /// The local application.
    Inbound(SocketAddr),
    /// Redirected calls: the request names its destination, else where it was going does.
    TransparentOutbound,
    /// Redirected calls for the local application, on these of its ports; none are all.
    TransparentInbound(Arc<[u16]>),
    /// The standalone destination; the Host is kept.
    Forward,
}

/// A role, resolved: nothing below the listener looks at the role again.
pub(crate) enum Plan {
    /// Connections to the application at this address.
    Application(SocketAddr),
    /// Redirected connections to the application, on these of its ports; none are all.
    CapturedApplication(Arc<[u16]>),
    /// Connections to other services.
    Services(Services),
    /// Redirected connections to other services.
    CapturedServices(Services),
}

/// The way to other services.
pub(crate) struct Services {
    pub(crate) requests: Arc<OutboundPolicy>,
    pub(crate) bytes: BytesTo,
    /// The server may be the one to speak first.
    pub(crate) server_may_begin: bool,
}

/// Rules for requests to other services.
pub(crate) struct OutboundPolicy {
    pub(crate) naming: Naming,
    /// CONNECT opens a tunnel.
    pub(crate) tunnels: bool,
    /// Clients are outside the mesh: none of its headers are believed.
    pub(crate) is_outside: bool,
}

/// The source of a request's destination.
pub(crate) enum Naming {
    /// The Host or authority of the request.
    Request,
    /// The same on the port that was called, or the address that was called.
    Captured,
    /// This authority, which replaces the Host.
    Replaced(Arc<str>),
    /// This authority; the Host stays.
    Fixed(Arc<str>),
    /// The standalone destination.
    Standalone,
}

/// The destination of a connection that is carried as bytes.
#[derive(Clone, Debug)]
pub(crate) enum BytesTo {
    Application(SocketAddr),
    Authority(Arc<str>),
    /// The address that was called.
    Original(SocketAddr),
    Standalone,
    /// None: only a request could name it.
    Unknown,
}

impl From<&Role> for Plan {
    fn from(role: &Role) -> Self {
        let services = |naming, bytes| Services {
            requests: Arc::new(OutboundPolicy {
                tunnels: matches!(role, Role::Outbound),
                is_outside: matches!(naming, Naming::Fixed(_) | Naming::Standalone),
                naming,
            }),
            server_may_begin: matches!(role, Role::Upstream(_) | Role::TransparentOutbound),
            bytes,
        };
        match role {
            Role::Inbound(app) => Self::Application(*app),
            Role::TransparentInbound(ports) => Self::CapturedApplication(ports.clone()),
            Role::TransparentOutbound => {
                Self::CapturedServices(services(Naming::Captured, BytesTo::Unknown))
            }
            Role::Outbound => Self::Services(services(Naming::Request, BytesTo::Unknown)),
            Role::Upstream(authority) => {
                let bytes = BytesTo::Authority(authority.clone());
                Self::Services(services(Naming::Replaced(authority.clone()), bytes))
            }
            Role::Gateway(authority) => {
                let bytes = BytesTo::Authority(authority.clone());
                Self::Services(services(Naming::Fixed(authority.clone()), bytes))
            }
            Role::Forward => Self::Services(services(Naming::Standalone, BytesTo::Standalone)),
        }
    }
}
