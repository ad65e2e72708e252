//! Tasks that keep the stacks of destinations up to date.

use super::{Outbound, shared_state::SharedState, stack::StackContext};
use crate::{discover::resolve, http::cache::Entry};
use futures_util::{FutureExt as _, future::BoxFuture};
use mesh_discover::{Backend, Destination, Endpoint, Watch};
use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc};

/// A stack that follows the changes of its destination: one for requests, or one for connections.
pub(crate) trait Followed: Sized + Send + 'static {
    /// Handles that change the running stack.
    type Handles: Send;

    /// Builds the stack of `destination`, and the handles that follow its changes.
    fn build(
        context: &StackContext,
        shared: &Arc<SharedState>,
        destination: &Destination,
    ) -> (Self, Self::Handles);

    /// Applies the current configuration of `destination` to the running stack.
    fn apply(handles: &mut Self::Handles, destination: &Destination);
}

impl Outbound {
    /// Builds the stack of `authority` and updates it for ever, from `watch`, or from DNS while the
    /// mesh does not know the name.
    pub(crate) async fn follow<S: Followed>(
        self: Arc<Self>,
        authority: Arc<str>,
        watch: Option<Watch<Destination>>,
        entry: Arc<Entry<S>>,
    ) {
        let fallback = || self.follow_dns(&authority, &entry).boxed();
        self.follow_or(watch, &entry, fallback).await;
    }

    /// Follows the destination of a redirected connection: from `watch`, or, while that is unknown,
    /// the destination of the address `original`.
    pub(super) async fn follow_captured<S: Followed>(
        self: Arc<Self>,
        watch: Option<Watch<Destination>>,
        original: SocketAddr,
        entry: Arc<Entry<S>>,
    ) {
        let address: Arc<str> = original.to_string().into();
        let fallback = || {
            let watch = self.ask(&address);
            let followed = self.clone().follow(address.clone(), watch, entry.clone());
            followed.then(|()| pending()).boxed()
        };
        self.follow_or(watch, &entry, fallback).await;
    }

    /// Follows `watch` while its destination is known, and runs `fallback` while it is not.
    async fn follow_or<'a, S: Followed>(
        &self,
        watch: Option<Watch<Destination>>,
        entry: &Entry<S>,
        fallback: impl Fn() -> BoxFuture<'a, Infallible>,
    ) {
        let Some(mut watch) = watch else {
            fallback().await;
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
                    never = fallback() => match never {},
                    known = becomes_known(&mut watch) => Some(known),
                },
            };
        }
    }

    /// Applies changes until the destination has another name or is unknown, and returns that one.
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
                // The watch has ended: the last state stays in force.
                None => pending().await,
            }
        }
    }

    /// Follows the addresses that DNS has for a name that the mesh does not know.
    async fn follow_dns<S: Followed>(&self, authority: &Arc<str>, entry: &Entry<S>) -> Infallible {
        let mut running: Option<S::Handles> = None;
        loop {
            let pause = match self.resolve(authority).await {
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
                    resolve::INTERVAL
                }
                Err(reason) => {
                    // Addresses once known stay in use.
                    if running.is_none() {
                        entry.fail(reason);
                    }
                    resolve::RETRY_INTERVAL
                }
            };
            tokio::time::sleep(pause).await;
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
