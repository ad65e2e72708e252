//! Who speaks first, where the client does not.
//!
//! To find out what a connection speaks one reads what its client says; but in some protocols the
//! client waits for the server to begin. So a server whose client is silent for a moment is called
//! as if it were of that kind. If it has nothing to say either, as one of HTTP, nothing is lost: the
//! client's first words decide, as ever.

use crate::{config::Role, drain::Draining, transport::Io, worker::Worker};
use mesh_core::BoxError;
use std::{io, net::SocketAddr};
use tokio::time::timeout;

/// Who has spoken first on a connection.
pub(crate) enum First {
    /// The client; or nobody has yet, and it is the client whose turn it is.
    Client,
    /// The server, on this connection.
    Server(Io),
    /// Nobody, until there was no more time to.
    Nobody,
}

impl Worker {
    /// Waits for the first words on a connection of `role` that was going to `original`.
    pub(crate) async fn first(
        &self,
        role: &Role,
        original: Option<SocketAddr>,
        client: &Io,
        draining: &mut Draining,
    ) -> io::Result<First> {
        // Elsewhere clients are known to speak HTTP, or the destination is yet to be named.
        if !matches!(
            role,
            Role::Inbound(_) | Role::Upstream(_) | Role::TransparentOutbound
        ) {
            return Ok(First::Client);
        }
        tokio::select! {
            biased;
            heard = timeout(self.silence, client.speaks()) => if let Ok(heard) = heard {
                heard?;
                return Ok(First::Client);
            },
            () = draining.heard() => return Ok(First::Nobody),
        }
        let mut called = None;
        let server = async {
            let Some(endpoint) = self.dial(role, original).await else {
                return Ok(false);
            };
            Ok::<_, BoxError>(called.insert(endpoint?).speaks().await?)
        };
        tokio::select! {
            biased;
            heard = client.speaks() => {
                heard?;
                Ok(First::Client)
            }
            () = draining.heard() => Ok(First::Nobody),
            spoken = timeout(self.detect, server) => Ok(match (spoken, called) {
                // After so long a silence neither is likely to speak HTTP.
                (Ok(Ok(true)) | Err(_), Some(endpoint)) => First::Server(endpoint),
                _ => First::Client,
            }),
        }
    }
}
