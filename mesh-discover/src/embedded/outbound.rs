use super::{
    following::{Compiled, Followed, Following},
    leaves::Leaves,
    metrics::{Metrics, Series},
};
use crate::{Destination, Endpoint, Watch};
use mesh_balance::Balance;
use mesh_profile::{Profile, ProfileHandle};
use mesh_retry::Budget;
use mesh_split::Split;
use mesh_stats::{Counted, Stats};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// The way to a destination: a split of its leaves, each a balance of its endpoints, that follow
/// a watch for as long as a clone of this lives.
///
/// What belongs above it in a stack is asked of it: [`profile`](Self::profile) for a
/// `ProfileLayer`, [`budget`](Self::budget) for a `RetryLayer`, [`stats`](Self::stats) for what is
/// counted by route. See the [module documentation](super).
///
/// Until the destination is known, and while it has no endpoint, a request waits for one, for
/// three seconds at most. A destination that the mesh does not know has none.
pub struct Outbound<S> {
    inner: Followed<Split<Balance<Counted<S>>>>,
    profile: ProfileHandle,
    budget: Budget,
    series: Arc<Series>,
}

impl<S> Outbound<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Follows `watch`, and counts in `metrics`; `connect` makes the service of each endpoint.
    ///
    /// It is asked once for each endpoint that comes, and again if what is known of one changes.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn follow(
        watch: Watch<Destination>,
        metrics: &Metrics,
        connect: impl FnMut(&Endpoint) -> S + Send + 'static,
    ) -> Self {
        let profile = ProfileHandle::new(Profile::default());
        let budget = Budget::default();
        let series = metrics.destination();
        let (split, mut leaves) = Leaves::new(metrics.clone(), connect);
        let mut compiled = Compiled::new(profile.clone());
        let following = {
            let (budget, series) = (budget.clone(), series.clone());
            Following::start(watch, move |destination| {
                series.set_name(destination.name.as_ref());
                if let Some(profile) = compiled.apply(destination) {
                    budget.update(profile.budget());
                }
                leaves.apply(destination);
            })
        };
        Self {
            inner: Followed::new(split, following),
            profile,
            budget,
            series,
        }
    }
}

impl<S> Outbound<S> {
    /// The routes, as they are now and will be.
    pub fn profile(&self) -> &ProfileHandle {
        &self.profile
    }

    /// The budget of retries, with the limits of the profile.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The counters of the routes. What the endpoints get is counted by itself.
    pub fn stats(&self) -> &Stats {
        self.series.stats()
    }
}

impl<S, R> Service<R> for Outbound<S>
where
    Split<Balance<Counted<S>>>: Service<R>,
{
    type Response = <Split<Balance<Counted<S>>> as Service<R>>::Response;
    type Error = <Split<Balance<Counted<S>>> as Service<R>>::Error;
    type Future = <Split<Balance<Counted<S>>> as Service<R>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: R) -> Self::Future {
        self.inner.call(req)
    }
}

impl<S> Clone for Outbound<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            profile: self.profile.clone(),
            budget: self.budget.clone(),
            series: self.series.clone(),
        }
    }
}

impl<S> fmt::Debug for Outbound<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}
