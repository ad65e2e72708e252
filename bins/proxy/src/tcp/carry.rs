//! Connections of a listener that are carried as bytes, and how that is known.

use super::{carried::Carried, dial::Dialled};
use crate::{
    identity,
    listener::{role::BytesTo, router::Accepted},
    worker::Worker,
};
use mesh_core::{BoxError, Conn};
use mesh_pool::{Protocol, connect};
use mesh_transport::Io;
use std::{io, sync::Arc};

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
    pub(crate) async fn dial(
        &self,
        bytes: &BytesTo,
        conn: &Conn,
    ) -> Option<Result<Dialled, BoxError>> {
        let outbound = &self.outbound;
        Some(match bytes {
            BytesTo::Application(app) => {
                let target = identity::target(*app, Protocol::Opaque);
                let connector = &self.inbound.connections.connector;
                let opened = connect(&target, connector).await;
                opened.map(Dialled::alone).map_err(Into::into)
            }
            BytesTo::Standalone => outbound.dial(None, conn).await,
            BytesTo::Authority(authority) => outbound.dial(Some(authority), conn).await,
            BytesTo::Original(original) => outbound.dial(Some(&original.to_string()), conn).await,
            BytesTo::Unknown => return None,
        })
    }

    /// Copies the bytes of a connection that is not HTTP. `server_name` is what TLS asks for.
    pub(crate) async fn carry(
        &self,
        bytes: &BytesTo,
        io: Io,
        conn: Arc<Conn>,
        server_name: Option<Box<str>>,
    ) -> io::Result<()> {
        let peer = conn.peer;
        match self.dial(bytes, &conn).await {
            None => tracing::debug!(%peer, "neither HTTP nor CONNECT: where it goes is unknown"),
            Some(Err(error)) => tracing::debug!(%peer, %error, "cannot be carried on"),
            Some(Ok(endpoint)) => {
                let carried = Carried::new(bytes, conn, server_name);
                carried.carry(io, endpoint, &self.outbound.context).await?;
            }
        }
        Ok(())
    }
}
