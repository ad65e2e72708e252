//! Connections that are carried as bytes.

use crate::http::outbound::Outbound;
use mesh_discover::Protocol;
use std::{io, sync::PoisonError, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes per read, each way: large enough that a bulk transfer is not made of system calls.
const BUFFER: usize = 64 * 1024;

/// Time to wait for discovery to name a connection opaque; after it, detection finds out.
const HINT: Duration = Duration::from_millis(500);

/// Copies both ways until both ends have said all they had to say.
pub(crate) async fn copy<A, B>(mut caller: A, mut endpoint: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    tokio::io::copy_bidirectional_with_sizes(&mut caller, &mut endpoint, BUFFER, BUFFER).await?;
    Ok(())
}

impl Outbound {
    /// Returns true if the mesh says that `authority` does not speak HTTP.
    pub(crate) async fn is_opaque(&self, authority: &str) -> bool {
        self.declared(authority).await == Some(Protocol::Opaque)
    }

    /// The protocol of `authority`, if the mesh knows it.
    pub(super) async fn declared(&self, authority: &str) -> Option<Protocol> {
        let discover = self.discover.as_ref()?;
        let mut watch = {
            let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
            match hints.get(authority) {
                Some(watch) => watch.clone(),
                None => {
                    if hints.len() >= self.limits.destinations {
                        hints.clear();
                    }
                    let watch = discover.destination(authority);
                    hints.insert(authority.into(), watch.clone());
                    watch
                }
            }
        };
        let known = tokio::time::timeout(HINT, watch.ready()).await.ok()??;
        known.is_known().then(|| known.protocol())
    }
}
