//! Detection of protocols in which the server speaks first.
//!
//! To find out what a connection speaks one reads what its client says; but in some protocols the
//! client waits for the server to begin. So a server whose client is silent for a moment is called
//! as if it were of that kind. If it has nothing to say either, as one of HTTP, nothing is lost: the
//! client's first words decide, as ever.

use super::router::Accepted;
use crate::{tcp::dial::Dialled, worker::Worker};
use mesh_core::{BoxError, Conn};
use mesh_serve::Draining;
use mesh_transport::Io;
use std::io;
use tokio::time::timeout;

/// The first end of a connection to speak.
pub(crate) enum First {
    /// The client; or nobody has yet, and it is the client whose turn it is.
    Client,
    /// The server, on this connection.
    Server(Box<Dialled>),
    /// Nobody, until there was no more time to.
    Nobody,
}

impl Worker {
    /// Waits for the first words on a connection.
    pub(crate) async fn first(
        &self,
        accepted: &Accepted,
        conn: &Conn,
        client: &Io,
        draining: &mut Draining,
    ) -> io::Result<First> {
        // Elsewhere clients are known to speak HTTP, or the destination is yet to be named.
        if !accepted.server_may_begin {
            return Ok(First::Client);
        }
        tokio::select! {
            biased;
            heard = timeout(self.limits.silence, client.has_spoken()) => if let Ok(heard) = heard {
                heard?;
                return Ok(First::Client);
            },
            () = draining.after_grace() => return Ok(First::Nobody),
        }
        let mut called = None;
        let server = async {
            let Some(endpoint) = self.dial(&accepted.bytes, conn).await else {
                return Ok(false);
            };
            Ok::<_, BoxError>(called.insert(endpoint?).stream.has_spoken().await?)
        };
        tokio::select! {
            biased;
            heard = client.has_spoken() => {
                heard?;
                Ok(First::Client)
            }
            () = draining.after_grace() => Ok(First::Nobody),
            spoken = timeout(self.limits.detect, server) => Ok(match (spoken, called) {
                // After so long a silence neither is likely to speak HTTP.
                (Ok(Ok(true)) | Err(_), Some(endpoint)) => First::Server(Box::new(endpoint)),
                _ => First::Client,
            }),
        }
    }
}
