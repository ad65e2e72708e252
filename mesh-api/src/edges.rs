use crate::{Kind, Namespaces, Question, peer::NamespacesFields};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/edges`: asks which resources of a kind call which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(try_from = "Fields", into = "Fields")]
pub struct EdgesRequest {
    /// Kind of the resources on both sides.
    pub kind: Kind,
    /// Namespaces of which one side must be.
    pub namespaces: Namespaces,
}

impl Question for EdgesRequest {
    const PATH: &'static str = "/api/v1/edges";
}

/// Parameters of an [`EdgesRequest`].
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Fields {
    resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all_namespaces: bool,
}

impl TryFrom<Fields> for EdgesRequest {
    type Error = crate::ParseResourceError;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        Ok(Self {
            kind: fields.resource.parse()?,
            namespaces: NamespacesFields {
                namespace: fields.namespace,
                all_namespaces: fields.all_namespaces,
            }
            .into(),
        })
    }
}

impl From<EdgesRequest> for Fields {
    fn from(request: EdgesRequest) -> Self {
        let NamespacesFields {
            namespace,
            all_namespaces,
        } = request.namespaces.into();
        Self {
            resource: request.kind.short().to_owned(),
            namespace,
            all_namespaces,
        }
    }
}

/// One client and one server that it calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct EdgeRow {
    /// Name of the client.
    pub src: String,
    /// Namespace of the client.
    pub src_namespace: String,
    /// Name of the server.
    pub dst: String,
    /// Namespace of the server.
    pub dst_namespace: String,
    /// TLS identity of the client; empty without TLS.
    pub client_id: String,
    /// TLS identity of the server; empty without TLS.
    pub server_id: String,
    /// Reason for which the connection has no TLS; empty if it has.
    pub no_tls_reason: String,
}
