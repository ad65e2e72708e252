use crate::{
    config::Limits,
    http::{
        outbound::{
            again::Again, authority::OverrideAuthority, ejections::Ejections, follow::Followed,
            shared_state::SharedState,
        },
        pooled,
    },
    identity,
    registry::{Held, Registry, Statuses},
};
use http::HeaderValue;
use mesh_balance::Balance;
use mesh_core::Direction;
use mesh_discover::{
    Destination, Endpoint, RetryBudget,
    follow::{Connect, Follower, Rules},
};
use mesh_fault::Faulty;
use mesh_pool::{Pool, Protocol, Settings};
use mesh_profile::{ProfileLayer, Profiled};
use mesh_retry::{ReplayBody, Retry, RetryLayer};
use mesh_serve::RequestBody;
use mesh_stats::{Counted, Stats};
use mesh_tap::{Tap, Tapped};
use mesh_timeout::{
    BodyTimeout, BodyTimeoutLayer, ProgressBody, PropagateDeadline, PropagateDeadlineLayer,
    TimeoutLayer,
};
use std::sync::Arc;
use tower::ServiceBuilder;

/// Inputs for building a destination's stack: one worker's share of the proxy.
#[derive(Clone, Debug)]
pub(crate) struct StackContext {
    pub(crate) worker: usize,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tap: Tap,
    pub(crate) connections: Arc<Settings>,
    pub(crate) ejections: Ejections,
    pub(crate) limits: Limits,
    /// True if meshed endpoints have a proxy of ours, which reads the destination from a header.
    pub(crate) announces: bool,
}

type Attempt = ReplayBody<ProgressBody<RequestBody>>;

/// One endpoint of a backend.
type ToEndpoint = OverrideAuthority<PropagateDeadline<Tapped<Counted<Pool<Attempt>>>>>;

/// All attempts of a request, which share one time limit.
type Attempts = Tapped<Retry<Counted<Faulty<Rules<Again<ToEndpoint>>>>>>;

/// The whole line below `find`, for one authority.
pub(crate) type Stack = Profiled<Counted<BodyTimeout<Attempts>>>;

/// The handles of a running stack.
pub(crate) struct Handles {
    follower: Follower<Parts>,
    _routes: Option<Held>,
}

/// Makes the services of a destination's backends and endpoints.
struct Parts {
    context: StackContext,
    /// Kept, so that the stacks of other workers find it.
    shared: Arc<SharedState>,
    canonical: Option<HeaderValue>,
    /// The name of the destination, if the mesh knows it.
    apex: Option<Arc<str>>,
}

/// Builds the stack of `destination`, and the handles that follow its changes.
fn stack(
    context: &StackContext,
    shared: &Arc<SharedState>,
    destination: &Destination,
) -> (Stack, Handles) {
    // A destination outside the mesh has no routes to count by.
    let routes = destination.name().map(|name| {
        let (worker, outbound) = (context.worker, Direction::Outbound);
        context.registry.routes(worker, outbound, name)
    });
    let stats = routes
        .as_ref()
        .map_or_else(Stats::new, |held| held.stats.clone());
    let announced = destination.name().filter(|_| context.announces);
    let parts = Parts {
        context: context.clone(),
        shared: shared.clone(),
        canonical: announced.and_then(|name| HeaderValue::from_str(name).ok()),
        apex: destination.name().cloned(),
    };
    let (rules, follower) = Follower::new(parts, &shared.counter, Some(destination));

    let retryable = {
        let stats = stats.clone();
        Arc::new(move |route: Option<&_>, skipped| stats.retryable(route, skipped))
    };

    let stack = ServiceBuilder::new()
        // Which route is this? What is below asks the route what it wants.
        .layer(ProfileLayer::watch(follower.profile().clone()))
        // What the caller sees: once per request, retries included.
        .layer(stats.effective())
        // One deadline, retries included: the route's to the head of a response, the caller's to
        // its last byte, if it says so.
        .layer(BodyTimeoutLayer::per_route().with_head(TimeoutLayer::per_route()))
        // Shows what no attempt below will: a deadline that passed, no endpoint.
        .layer(context.tap.exchange().direction(Direction::Outbound))
        // Again, if the route may be and the budget allows.
        .layer(
            RetryLayer::per_route(shared.budget.clone())
                .max_attempts(context.limits.attempts)
                .max_body(context.limits.retry_body_bytes)
                .max_memory(context.limits.retry_memory_bytes)
                .max_pause(context.limits.retry_pause)
                .on_retryable(retryable),
        )
        // What each attempt came to.
        .layer(stats.actual())
        // Faults on purpose, which no endpoint is blamed for.
        .layer(shared.faults.layer())
        // Which rule; which of its backends, by weight; which endpoint, by load; then `endpoint`
        // below.
        .service(rules);

    let handles = Handles {
        follower,
        _routes: routes,
    };
    (stack, handles)
}

impl Followed for Stack {
    type Handles = Handles;

    fn build(
        context: &StackContext,
        shared: &Arc<SharedState>,
        destination: &Destination,
    ) -> (Self, Handles) {
        stack(context, shared, destination)
    }

    /// Nothing is rebuilt: connections, balance and counts of unchanged endpoints are kept.
    fn apply(handles: &mut Handles, destination: &Destination) {
        handles.follower.apply(destination);
    }
}

impl Connect for Parts {
    type Service = ToEndpoint;
    type Backend = Again<ToEndpoint>;
    /// The metrics show a backend's endpoints for as long as there is this.
    type Guard = Option<Arc<Statuses>>;

    fn endpoint(&mut self, backend: &Arc<str>, endpoint: &Endpoint) -> (ToEndpoint, Self::Guard) {
        let canonical = self.canonical.clone();
        let apex = self.apex.as_deref();
        let service = self.context.endpoint(apex, backend, endpoint, canonical);
        (service, None)
    }

    fn backend(
        &mut self,
        name: Option<&Arc<str>>,
    ) -> (Balance<ToEndpoint>, Again<ToEndpoint>, Self::Guard) {
        let context = &self.context;
        let balance = Balance::<ToEndpoint>::with(
            context
                .balance()
                .with_observer(name.map(|name| context.ejections.of(name))),
        );
        let asked = balance.clone();
        let statuses: Arc<Statuses> = Arc::new(move || asked.endpoints());
        if let Some(name) = name {
            context.registry.leaf(context.worker, name, &statuses);
        }
        let again = Again::new(balance.clone());
        (balance, again, Some(statuses))
    }

    fn is_available(backend: &Again<ToEndpoint>) -> bool {
        backend.is_available()
    }

    fn set_budget(&mut self, budget: RetryBudget) {
        self.shared.budget.update(budget);
    }
}

impl StackContext {
    pub(crate) fn balance(&self) -> mesh_balance::Config {
        let ejection = mesh_balance::Ejection::default().with_failures(self.limits.failures);
        mesh_balance::Config::default()
            .with_fail_fast(self.limits.fail_fast)
            .with_max_waiting(self.limits.waiting)
            .with_ejection(ejection)
    }

    /// The way to one endpoint.
    fn endpoint(
        &self,
        apex: Option<&str>,
        leaf: &str,
        endpoint: &Endpoint,
        canonical: Option<HeaderValue>,
    ) -> ToEndpoint {
        let Endpoint { addr, labels, .. } = endpoint;
        let held = self.registry.endpoint(
            self.worker,
            Direction::Outbound,
            apex,
            Some(leaf),
            *addr,
            labels.iter(),
        );
        let stats = held.stats.clone();
        let target = identity::target(*addr, Protocol::Http1);
        ServiceBuilder::new()
            // A gateway knows the destination by another name.
            .layer_fn(|inner| OverrideAuthority::new(inner, endpoint.authority_override.as_deref()))
            // How long will the caller wait from now on?
            .layer(PropagateDeadlineLayer::new())
            // Shows the attempt and where it went.
            .layer(
                self.tap
                    .layer()
                    .direction(Direction::Outbound)
                    .endpoint(*addr, tap_labels(endpoint)),
            )
            // What this endpoint got and answered.
            .layer(stats.endpoint())
            // The connection, HTTP/1 or 2.
            .service(
                Pool::new(target, self.connections.clone())
                    .through(canonical.map(pooled::relay))
                    .holding(held),
            )
    }
}

fn tap_labels(endpoint: &Endpoint) -> Arc<[(String, String)]> {
    let tls = [identity::tap_label(identity::status(endpoint.addr))];
    let labels = endpoint.labels.iter().map(|(k, v)| (k.clone(), v.clone()));
    labels.chain(tls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Peer;
    use mesh_discover::Backend;
    use mesh_transport::Flusher;
    use std::time::Duration;
    use tokio::time::Instant;

    fn context(registry: &Arc<Registry>) -> StackContext {
        let limits = Limits::default();
        let meter = registry.meter(Direction::Outbound, Peer::Destination);
        StackContext {
            worker: 0,
            registry: registry.clone(),
            tap: Tap::new(),
            connections: Arc::new(limits.pool(
                Direction::Outbound,
                meter,
                Flusher::start(),
                &pooled::HOOKS,
            )),
            ejections: Ejections::new(0),
            limits,
            announces: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn series_of_what_is_gone_disappear_after_ten_minutes() {
        let registry = Arc::new(Registry::new(&[], &Limits::default()));
        let at = |ports: &[u16]| {
            let endpoint = |port: &u16| Endpoint::new(([127, 0, 0, 1], *port).into());
            let backend = Backend::new("books:7002", ports.iter().map(endpoint));
            Destination::named("books:7002", "books:7002").with_backend(backend)
        };
        let start = Instant::now();
        let kept = |minutes: u64| {
            let _ = registry.render(start + Duration::from_secs(minutes * 60));
            registry.kept()
        };
        let shared = Arc::default();
        let (stack, mut handles) = stack(&context(&registry), &shared, &at(&[1, 2]));
        // One of routes, one of each endpoint; in use for as long as it may be.
        assert_eq!((kept(0), kept(100)), (3, 3));
        Stack::apply(&mut handles, &at(&[1]));
        assert_eq!((kept(100), kept(109), kept(110)), (3, 3, 2));
        Stack::apply(&mut handles, &at(&[1, 3]));
        assert_eq!(kept(110), 3);
        drop((stack, handles));
        assert_eq!((kept(110), kept(119), kept(120)), (3, 3, 0));
    }
}
