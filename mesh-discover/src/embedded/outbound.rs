use super::{
    following::{Followed, Following},
    metrics::{Metrics, Series},
};
use crate::{
    Destination, Endpoint, Watch,
    follow::{Connect, Follower, Rules, SharedCounter},
};
use http::Request;
use mesh_balance::Balance;
use mesh_profile::{ProfileHandle, RetryBudget};
use mesh_retry::Budget;
use mesh_stats::{Counted, Stats};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer as _;
use tower_service::Service;

/// A service that sends requests to a destination: its rules choose among load-balanced backends.
///
/// It follows a watch as long as one clone of it exists.
///
/// It supplies the layers above it in a stack: [`profile`](Self::profile) for a `ProfileLayer`,
/// [`budget`](Self::budget) for a `RetryLayer`, [`stats`](Self::stats) for a `StatsLayer`.
/// See the [module documentation](super).
///
/// A request waits at most 3 s for the destination and its first endpoint. A destination unknown
/// to the mesh has no endpoints.
pub struct Outbound<S> {
    inner: Followed<Rules<Balance<Counted<S>>>>,
    profile: ProfileHandle,
    budget: Budget,
    series: Arc<Series>,
}

impl<S> Outbound<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Follows `watch` and records requests in `metrics`; `connect` builds the service of an endpoint.
    ///
    /// `connect` is called once for each new endpoint, and again when the endpoint's data changes.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn follow(
        watch: Watch<Destination>,
        metrics: &Metrics,
        connect: impl FnMut(&Endpoint) -> S + Send + 'static,
    ) -> Self {
        let budget = Budget::default();
        let series = metrics.destination();
        let parts = Parts {
            connect,
            metrics: metrics.clone(),
            series: series.clone(),
            budget: budget.clone(),
        };
        let (rules, mut follower) = Follower::new(parts, &SharedCounter::new(), None);
        let profile = follower.profile().clone();
        let following = {
            let series = series.clone();
            Following::start(watch, move |destination| {
                series.set_name(destination.name());
                follower.apply(destination);
            })
        };
        Self {
            inner: Followed::new(rules, following),
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

impl<S, B> Service<Request<B>> for Outbound<S>
where
    Rules<Balance<Counted<S>>>: Service<Request<B>>,
{
    type Response = <Rules<Balance<Counted<S>>> as Service<Request<B>>>::Response;
    type Error = <Rules<Balance<Counted<S>>> as Service<Request<B>>>::Error;
    type Future = <Rules<Balance<Counted<S>>> as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
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

/// Makes the services of an embedded stack.
struct Parts<F> {
    connect: F,
    metrics: Metrics,
    /// The counters of the destination.
    series: Arc<Series>,
    budget: Budget,
}

impl<S, F> Connect for Parts<F>
where
    S: Clone,
    F: FnMut(&Endpoint) -> S,
{
    type Service = Counted<S>;
    type Backend = Balance<Counted<S>>;
    type Guard = Option<Arc<Series>>;

    fn endpoint(
        &mut self,
        backend: &Arc<str>,
        endpoint: &Endpoint,
    ) -> (Self::Service, Self::Guard) {
        let counts = self.metrics.endpoint(&self.series, backend, endpoint);
        let service = (self.connect)(endpoint);
        (counts.stats().endpoint().layer(service), Some(counts))
    }

    fn backend(
        &mut self,
        _name: Option<&Arc<str>>,
    ) -> (Balance<Self::Service>, Self::Backend, Self::Guard) {
        let balance = Balance::new();
        (balance.clone(), balance, None)
    }

    fn is_available(backend: &Self::Backend) -> bool {
        backend.is_available()
    }

    fn set_budget(&mut self, budget: RetryBudget) {
        self.budget.update(budget);
    }
}
