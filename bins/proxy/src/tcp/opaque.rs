//! Connections that are carried as bytes.

use crate::{http::outbound::Outbound, identity};
use mesh_core::{BoxError, Fault};
use mesh_discover::{Destination, Protocol, RouteRule};
use mesh_pool::{Stream, connect};
use std::{io, net::SocketAddr, sync::PoisonError, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes per read, each way: large enough that a bulk transfer is not made of system calls.
const BUFFER: usize = 64 * 1024;

/// Time to wait for discovery to name a connection opaque; after it, detection finds out.
const HINT: Duration = Duration::from_millis(500);

/// Endpoints that are tried for one connection.
const MAX_TRIES: usize = 3;

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
        let Some(discover) = &self.discover else {
            return false;
        };
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
        let known = tokio::time::timeout(HINT, watch.ready()).await;
        matches!(known, Ok(Some(known)) if known.protocol() == Protocol::Opaque)
    }

    /// A connection to an endpoint of `authority`, or of the standalone destination.
    pub(crate) async fn dial(&self, authority: Option<&str>) -> Result<Stream, BoxError> {
        let watch = match authority {
            None => self.standalone.clone(),
            Some(authority) => self.discover.as_ref().map(|all| all.destination(authority)),
        };
        let known = match watch {
            Some(mut watch) => tokio::time::timeout(self.first_answer, watch.ready())
                .await
                .ok()
                .flatten()
                .filter(|destination| destination.is_known()),
            None => None,
        };
        let turn = self.turn();
        let mut addrs = match (&known, authority) {
            (Some(destination), _) => endpoints(destination, turn),
            (None, Some(authority)) => {
                let endpoints = self.resolve(authority).await?;
                endpoints
                    .into_iter()
                    .map(|endpoint| endpoint.addr)
                    .collect()
            }
            (None, None) => Vec::new(),
        };
        if !addrs.is_empty() {
            let first = turn % addrs.len();
            addrs.rotate_left(first);
        }
        let connector = &self.context.connections.connector;
        let mut failed: BoxError = Fault::NoEndpoint.into();
        for addr in addrs.into_iter().take(MAX_TRIES) {
            match connect(
                &identity::target(addr, mesh_pool::Protocol::Opaque),
                connector,
            )
            .await
            {
                Ok(io) => return Ok(io),
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }
}

/// The endpoints of the backend whose turn it is, by the weights of the rule for all requests.
fn endpoints(destination: &Destination, turn: usize) -> Vec<SocketAddr> {
    let shares = destination
        .rules()
        .last()
        .map_or(&[][..], RouteRule::shares);
    let usable = || {
        shares.iter().filter_map(|share| {
            let backend = destination.backend(share.backend())?;
            let weight = share.weight() as usize;
            (weight > 0 && !backend.endpoints().is_empty()).then_some((backend, weight))
        })
    };
    let total: usize = usable().map(|(_, weight)| weight).sum();
    let mut left = turn.checked_rem(total).unwrap_or_default();
    let chosen = usable().find(|(_, weight)| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    });
    chosen.map_or_else(Vec::new, |(backend, _)| {
        backend.endpoints().iter().map(|e| e.addr).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_discover::{Backend, Endpoint};

    #[test]
    fn leaves_have_turns_by_weight() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let leaf = |port, weight| {
            let endpoints = (port > 0).then(|| Endpoint::new(addr(port)));
            (Backend::new(format!("a:{port}"), endpoints), weight)
        };
        let destination = Destination::named("a", "a").with_split([
            leaf(1, 2),
            leaf(0, 5),
            leaf(2, 1),
            leaf(3, 0),
        ]);
        let chosen: Vec<_> = (0..6)
            .map(|turn| endpoints(&destination, turn)[0].port())
            .collect();
        assert_eq!(chosen, [1, 1, 2, 1, 1, 2]);
        assert!(endpoints(&Destination::unknown("b"), 7).is_empty());
    }
}
