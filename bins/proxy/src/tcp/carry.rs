//! Connections of a listener that are carried as bytes, and how that is known.

use crate::{
    config::Role,
    tcp::{opaque, tls::Tls},
    transport::Io,
    worker::Worker,
};
use mesh_core::BoxError;
use std::{io, net::SocketAddr};

impl Worker {
    /// Whether it is known beforehand that a connection is not HTTP. To find out, one would wait
    /// for the client to speak, which may be waiting for the server.
    pub(crate) async fn is_opaque(&self, role: &Role, original: Option<SocketAddr>) -> bool {
        let port = match role {
            Role::Inbound(app) => Some(app.port()),
            _ => original.map(|original| original.port()),
        };
        if port.is_some_and(|port| self.opaque_ports.contains(&port)) {
            return true;
        }
        match (role, original) {
            (Role::Upstream(authority) | Role::Gateway(authority), _) => {
                self.outbound.is_opaque(authority).await
            }
            (Role::TransparentOutbound, Some(original)) => {
                self.outbound.is_opaque(&original.to_string()).await
            }
            _ => false,
        }
    }

    /// Connects to where a connection goes that is carried as bytes, if that is known.
    pub(crate) async fn dial(
        &self,
        role: &Role,
        original: Option<SocketAddr>,
    ) -> Option<Result<Io, BoxError>> {
        Some(match role {
            Role::Inbound(app) => opaque::connect(*app, &self.inbound.connections)
                .await
                .map_err(Into::into),
            Role::Forward => self.outbound.dial(None).await,
            Role::Upstream(authority) | Role::Gateway(authority) => {
                self.outbound.dial(Some(authority)).await
            }
            Role::TransparentOutbound | Role::TransparentInbound(_) | Role::Outbound => {
                self.outbound.dial(Some(&original?.to_string())).await
            }
        })
    }

    /// Copies the bytes of a connection that is not HTTP.
    pub(crate) async fn carry(
        &self,
        role: &Role,
        original: Option<SocketAddr>,
        io: Io,
        peer: SocketAddr,
        tls: Option<Tls>,
    ) -> io::Result<()> {
        let Some(endpoint) = self.dial(role, original).await else {
            tracing::debug!(%peer, "neither HTTP nor CONNECT: where it goes is unknown");
            return Ok(());
        };
        match (endpoint, tls) {
            (Ok(endpoint), None) => opaque::copy(io, endpoint).await,
            (Ok(endpoint), Some(tls)) => tls.carry(io, endpoint, &self.outbound.workshop).await,
            (Err(error), _) => {
                tracing::debug!(%peer, %error, "cannot be carried on");
                Ok(())
            }
        }
    }
}
