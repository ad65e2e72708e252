//! Connections of a listener that are carried as bytes, and how that is known.

use super::{opaque, tls::Tls};
use crate::{
    identity,
    listener::{role::BytesTo, router::Accepted},
    worker::Worker,
};
use mesh_core::BoxError;
use mesh_pool::{Protocol, Stream, connect};
use mesh_transport::Io;
use std::{io, net::SocketAddr};

impl Worker {
    /// Returns true if it is known beforehand that a connection is not HTTP. To find out, one would
    /// wait for the client to speak, which may be waiting for the server.
    pub(crate) async fn is_opaque(&self, accepted: &Accepted) -> bool {
        let port = match accepted.bytes {
            BytesTo::Application(app) => Some(app.port()),
            _ => accepted.original.map(|original| original.port()),
        };
        if port.is_some_and(|port| self.opaque_ports.contains(&port)) {
            return true;
        }
        match &accepted.bytes {
            BytesTo::Authority(authority) => self.outbound.is_opaque(authority).await,
            BytesTo::Original(original) => self.outbound.is_opaque(&original.to_string()).await,
            BytesTo::Application(_) | BytesTo::Standalone | BytesTo::Unknown => false,
        }
    }

    /// Connects to the destination of a connection that is carried as bytes, if that is known.
    pub(crate) async fn dial(&self, bytes: &BytesTo) -> Option<Result<Stream, BoxError>> {
        Some(match bytes {
            BytesTo::Application(app) => {
                let target = identity::target(*app, Protocol::Opaque);
                let connector = &self.inbound.connections.connector;
                connect(&target, connector).await.map_err(Into::into)
            }
            BytesTo::Standalone => self.outbound.dial(None).await,
            BytesTo::Authority(authority) => self.outbound.dial(Some(authority)).await,
            BytesTo::Original(original) => self.outbound.dial(Some(&original.to_string())).await,
            BytesTo::Unknown => return None,
        })
    }

    /// Copies the bytes of a connection that is not HTTP.
    pub(crate) async fn carry(
        &self,
        bytes: &BytesTo,
        io: Io,
        peer: SocketAddr,
        tls: Option<Tls>,
    ) -> io::Result<()> {
        let Some(endpoint) = self.dial(bytes).await else {
            tracing::debug!(%peer, "neither HTTP nor CONNECT: where it goes is unknown");
            return Ok(());
        };
        match (endpoint, tls) {
            (Ok(endpoint), None) => opaque::copy(io, endpoint).await,
            (Ok(endpoint), Some(tls)) => tls.carry(io, endpoint, &self.outbound.context).await,
            (Err(error), _) => {
                tracing::debug!(%peer, %error, "cannot be carried on");
                Ok(())
            }
        }
    }
}
