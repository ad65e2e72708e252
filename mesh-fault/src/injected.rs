use crate::InjectionId;
use http::Response;
use std::fmt;

/// Kinds of injection: the values of a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The request waits before it is sent on.
    Delay,
    /// The caller gets an HTTP error status.
    Status,
    /// The caller gets a gRPC error status.
    GrpcStatus,
    /// The caller gets an error instead of a response.
    Reset,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Delay, Self::Status, Self::GrpcStatus, Self::Reset];

    /// The value of metric labels: lower case, with dashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Status => "status",
            Self::GrpcStatus => "grpc-status",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Marks a response as delayed or made by an injection; found in its extensions.
///
/// A response that an injection made also carries [`Fault::Injected`](mesh_core::Fault::Injected)
/// there, for observers that do not know this crate. A response that was delayed is the service's
/// own, and carries only this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    id: InjectionId,
    kind: Kind,
}

impl Injected {
    pub(crate) fn new(id: InjectionId, kind: Kind) -> Self {
        Self { id, kind }
    }

    /// The mark that `rsp` carries.
    pub fn of<B>(rsp: &Response<B>) -> Option<Self> {
        rsp.extensions().get().copied()
    }

    /// The injection; of several, the one that decided the response, else the last that delayed it.
    pub fn id(&self) -> InjectionId {
        self.id
    }

    /// The kind of that injection.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
