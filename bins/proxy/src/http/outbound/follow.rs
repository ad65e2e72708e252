//! Tasks that keep the stacks of destinations up to date.

use super::{Outbound, shared_state::SharedState, stack::StackContext};
use crate::{discover::resolve, http::cache::Entry};
use futures_util::{FutureExt as _, future::BoxFuture};
use mesh_discover::{Backend, Destination, Endpoint, Watch};
use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc};

/// A stack that is kept as its destination says: one for requests, or one for connections.
pub(crate) trait Followed: Sized + Send + 'static {
    /// The handles that change it while it runs.
    type Handles: Send;

    /// Builds the stack of `destination`, and the handles that follow its changes.
    fn build(
        context: &StackContext,
        shared: &Arc<SharedState>,
        destination: &Destination,
    ) -> (Self, Self::Handles);

    /// Makes the stack do what `destination` says.
    fn apply(handles: &mut Self::Handles, destination: &Destination);
}

impl Outbound {
    /// Makes the stack of a destination, and keeps it as the mesh, or DNS, says.
    pub(crate) async fn follow<S: Followed>(
        self: Arc<Self>,
        authority: Arc<str>,
        watch: Option<Watch<Destination>>,
        entry: Arc<Entry<S>>,
    ) {
        let otherwise = || self.follow_dns(&authority, &entry).boxed();
        self.follow_or(watch, &entry, otherwise).await;
    }

    /// The same for a connection that was going to `original`, which is a name, too.
    pub(super) async fn follow_captured<S: Followed>(
        self: Arc<Self>,
        watch: Option<Watch<Destination>>,
        original: SocketAddr,
        entry: Arc<Entry<S>>,
    ) {
        let address: Arc<str> = original.to_string().into();
        let otherwise = || {
            let watch = self.ask(&address);
            let followed = self.clone().follow(address.clone(), watch, entry.clone());
            followed.then(|()| pending()).boxed()
        };
        self.follow_or(watch, &entry, otherwise).await;
    }

    /// Does what `watch` says, and `otherwise` while that is nothing.
    async fn follow_or<'a, S: Followed>(
        &self,
        watch: Option<Watch<Destination>>,
        entry: &Entry<S>,
        otherwise: impl Fn() -> BoxFuture<'a, Infallible>,
    ) {
        let Some(mut watch) = watch else {
            otherwise().await;
            return;
        };
        let mut current = tokio::time::timeout(self.first_answer, watch.ready())
            .await
            .ok()
            .flatten();
        loop {
            current = match current {
                Some(known) if known.is_known() => {
                    Some(self.follow_known(&known, &mut watch, entry).await)
                }
                _ => tokio::select! {
                    never = otherwise() => match never {},
                    known = becomes_known(&mut watch) => Some(known),
                },
            };
        }
    }

    /// Returns when the destination goes by another name, or leaves the mesh.
    async fn follow_known<S: Followed>(
        &self,
        destination: &Arc<Destination>,
        watch: &mut Watch<Destination>,
        entry: &Entry<S>,
    ) -> Arc<Destination> {
        let name = destination.name().unwrap_or(destination.authority());
        let shared = self.shared_states.of(name);
        let (stack, mut handles) = S::build(&self.context, &shared, destination);
        entry.serve(stack);
        loop {
            match watch.changed().await {
                Some(next) if next.is_known() && next.name() == destination.name() => {
                    S::apply(&mut handles, &next);
                }
                Some(next) => return next,
                // The last answer stays.
                None => pending().await,
            }
        }
    }

    /// Passes a name through that the mesh does not know.
    async fn follow_dns<S: Followed>(&self, authority: &Arc<str>, entry: &Entry<S>) -> Infallible {
        let mut running: Option<S::Handles> = None;
        loop {
            let again = match self.resolve(authority).await {
                Ok(endpoints) => {
                    let backend = Backend::new(authority.clone(), endpoints);
                    let destination = Destination::unknown(authority.clone()).with_backend(backend);
                    match &mut running {
                        Some(handles) => S::apply(handles, &destination),
                        None => {
                            let shared = self.shared_states.of(authority);
                            let (stack, handles) = S::build(&self.context, &shared, &destination);
                            entry.serve(stack);
                            running = Some(handles);
                        }
                    }
                    resolve::AGAIN
                }
                Err(reason) => {
                    // Addresses once known stay in use.
                    if running.is_none() {
                        entry.fail(reason);
                    }
                    resolve::AFTER_FAILURE
                }
            };
            tokio::time::sleep(again).await;
        }
    }

    async fn resolve(&self, authority: &str) -> Result<Vec<Endpoint>, String> {
        let addrs = resolve::resolve(authority, self.limits.addresses)
            .await
            .map_err(|error| format!("cannot resolve {authority}: {error}"))?;
        if addrs.iter().any(|addr| self.own.contains(addr)) {
            return Err(format!("{authority} is this proxy itself"));
        }
        Ok(addrs.into_iter().map(Endpoint::new).collect())
    }
}

async fn becomes_known(watch: &mut Watch<Destination>) -> Arc<Destination> {
    loop {
        match watch.changed().await {
            Some(next) if next.is_known() => return next,
            Some(_) => {}
            None => pending().await,
        }
    }
}
