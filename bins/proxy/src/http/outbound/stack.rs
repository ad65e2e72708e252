use crate::{
    config::Limits,
    http::outbound::{again::Again, ejections::Ejections, shared_state::Joint},
    pool::{Pool, Settings},
    registry::{Held, Registry, Statuses},
};
use http::HeaderValue;
use hyper::body::Incoming;
use mesh_balance::{Balance, BalanceHandle};
use mesh_core::Direction;
use mesh_discover::{Destination, Endpoint, Leaf};
use mesh_profile::{Profile, ProfileHandle, ProfileLayer, Profiled};
use mesh_retry::{ReplayBody, Retry, RetryLayer};
use mesh_split::{Split, SplitHandle};
use mesh_stats::{Counted, Stats};
use mesh_tap::{Tap, Tapped};
use mesh_timeout::{
    BodyTimeout, BodyTimeoutLayer, ProgressBody, PropagateDeadline, PropagateDeadlineLayer,
    TimeoutLayer,
};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tower::ServiceBuilder;

/// What a destination's stack is made with: one worker's share of the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    pub(crate) worker: usize,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tap: Tap,
    pub(crate) connections: Arc<Settings>,
    pub(crate) ejections: Ejections,
    pub(crate) limits: Limits,
    /// Whether endpoints of the mesh have a proxy of ours, which wants to know the destination.
    pub(crate) announces: bool,
}

type Attempt = ReplayBody<ProgressBody<Incoming>>;

/// One endpoint of a leaf.
type ToEndpoint = PropagateDeadline<Tapped<Counted<Pool<Attempt>>>>;

/// What is limited in time: all tries of a request.
type Tries = Tapped<Retry<Counted<Split<Again<ToEndpoint>>>>>;

/// The whole line below `find`, for one authority.
pub(crate) type Stack = Profiled<Counted<BodyTimeout<Tries>>>;

/// The ends by which a stack is changed while it runs.
pub(crate) struct Handles {
    workshop: Workshop,
    profile: ProfileHandle,
    /// The spec that `profile` was compiled from.
    spec: Arc<mesh_profile::ProfileSpec>,
    split: SplitHandle<Again<ToEndpoint>>,
    leaves: HashMap<Arc<str>, LeafHandle>,
    joint: Arc<Joint>,
    canonical: Option<HeaderValue>,
    _routes: Option<Held>,
}

struct LeafHandle {
    balance: Balance<ToEndpoint>,
    handle: BalanceHandle<ToEndpoint>,
    endpoints: Arc<[Endpoint]>,
    /// Whoever wants to know how they are doing asks as long as there is this.
    _statuses: Arc<Statuses>,
}

/// Builds the stack of `destination`, and the handles that follow its changes.
pub(crate) fn stack(
    workshop: Workshop,
    joint: Arc<Joint>,
    destination: &Destination,
) -> (Stack, Handles) {
    // A destination outside the mesh has no routes to count by.
    let routes = destination.name.as_deref().map(|name| {
        let (worker, outbound) = (workshop.worker, Direction::Outbound);
        workshop.registry.routes(worker, outbound, name)
    });
    let stats = routes
        .as_ref()
        .map_or_else(Stats::new, |held| held.stats.clone());
    let announced = destination.name.as_deref().filter(|_| workshop.announces);
    let profile = ProfileHandle::new(Profile::default());
    let leaves = HashMap::new();
    let nothing = Again::new(Balance::with(workshop.balance()), joint.budget.clone());
    let split = Split::with_tickets(&joint.tickets, [(nothing, 1)])
        .expect("one leaf has a weight")
        .available_if(Again::is_available);
    let split_handle = split.handle();

    let retryable = {
        let stats = stats.clone();
        Arc::new(move |route: Option<&_>, skipped| stats.retryable(route, skipped))
    };

    let stack = ServiceBuilder::new()
        // Which route is this? What is below asks the route what it wants.
        .layer(ProfileLayer::watch(profile.clone()))
        // What the caller sees: once per request, retries included.
        .layer(stats.effective())
        // One deadline, retries included: the route's to the head of a response, the caller's to
        // its last byte, if it says so.
        .layer(BodyTimeoutLayer::per_route().with_head(TimeoutLayer::per_route()))
        // Shows what no attempt below will: a deadline that passed, no endpoint.
        .layer(workshop.tap.exchange().direction(Direction::Outbound))
        // Again, if the route may be and the budget allows.
        .layer(
            RetryLayer::per_route(joint.budget.clone())
                .max_body(workshop.limits.retry_body_bytes)
                .max_memory(workshop.limits.retry_memory_bytes)
                .max_pause(workshop.limits.retry_pause)
                .on_retryable(retryable),
        )
        // What each attempt came to.
        .layer(stats.actual())
        // Which leaf, by weight; which endpoint, by load; then `endpoint` below.
        .service(split);

    let mut handles = Handles {
        workshop,
        profile,
        spec: Arc::default(),
        split: split_handle,
        leaves,
        joint,
        canonical: announced.and_then(|name| HeaderValue::from_str(name).ok()),
        _routes: routes,
    };
    handles.apply(destination);
    (stack, handles)
}

impl Handles {
    /// Makes the stack do what `destination` says. Nothing is rebuilt: connections, balance and
    /// counts of what stays are kept.
    pub(crate) fn apply(&mut self, destination: &Destination) {
        if self.spec != destination.profile {
            let (profile, problems) = Profile::salvage((*destination.profile).clone());
            for problem in problems {
                let authority = &destination.authority;
                tracing::warn!(%authority, %problem, "part of a profile is ignored");
            }
            self.joint.budget.update(profile.budget());
            self.profile.set(profile);
            self.spec = destination.profile.clone();
        }

        let known = |name: &Arc<str>| {
            destination
                .leaves
                .iter()
                .any(|leaf| leaf.authority == *name)
        };
        let gone: Vec<_> = self
            .leaves
            .keys()
            .filter(|name| !known(name))
            .cloned()
            .collect();
        for leaf in &destination.leaves {
            self.apply_leaf(leaf);
        }
        let shares = destination.leaves.iter().map(|leaf| {
            let balance = self.leaves[&leaf.authority].balance.clone();
            let balance = Again::new(balance, self.joint.budget.clone());
            (leaf.authority.clone(), balance, leaf.weight)
        });
        // Without any share, the last good one stays in force.
        if self.split.set(shares).is_ok() {
            for name in gone {
                self.leaves.remove(&name);
            }
        }
    }

    fn apply_leaf(&mut self, leaf: &Leaf) {
        let workshop = &self.workshop;
        let known = self
            .leaves
            .entry(leaf.authority.clone())
            .or_insert_with(|| {
                let balance = Balance::<ToEndpoint>::with(mesh_balance::Config {
                    observer: Some(workshop.ejections.of(&leaf.authority)),
                    ..workshop.balance()
                });
                let asked = balance.clone();
                let statuses: Arc<Statuses> = Arc::new(move || asked.endpoints());
                workshop.registry.leaf(&leaf.authority, &statuses);
                LeafHandle {
                    _statuses: statuses,
                    handle: balance.handle(),
                    balance,
                    endpoints: Arc::default(),
                }
            });
        if known.endpoints == leaf.endpoints {
            return;
        }
        let old: HashMap<SocketAddr, &Endpoint> =
            known.endpoints.iter().map(|e| (e.addr, e)).collect();
        let new: HashMap<SocketAddr, &Endpoint> =
            leaf.endpoints.iter().map(|e| (e.addr, e)).collect();
        let canonical = &self.canonical;
        let make = |addr| workshop.endpoint(&leaf.authority, new[&addr], canonical.clone());
        known
            .handle
            .update(leaf.endpoints.iter().map(|e| e.addr), make);
        // An address that went from one pod to another must not be counted as the old one.
        for (addr, endpoint) in &new {
            if old
                .get(addr)
                .is_some_and(|old| old.labels != endpoint.labels)
            {
                known.handle.replace(*addr, make(*addr));
            }
        }
        known.endpoints = leaf.endpoints.clone();
    }
}

impl Workshop {
    fn balance(&self) -> mesh_balance::Config {
        mesh_balance::Config {
            fail_fast: self.limits.fail_fast,
            max_waiting: self.limits.waiting,
            ejection: Some(mesh_balance::Ejection {
                failures: self.limits.failures,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// The way to one endpoint.
    fn endpoint(
        &self,
        leaf: &str,
        endpoint: &Endpoint,
        canonical: Option<HeaderValue>,
    ) -> ToEndpoint {
        let Endpoint { addr, labels, .. } = endpoint;
        let held = self.registry.endpoint(
            self.worker,
            Direction::Outbound,
            Some(leaf),
            *addr,
            labels.iter(),
        );
        let stats = held.stats.clone();
        ServiceBuilder::new()
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
            .service(Pool::new(*addr, self.connections.clone(), held).announcing(canonical))
    }
}

fn tap_labels(endpoint: &Endpoint) -> Arc<[(String, String)]> {
    let tls = [("tls".to_owned(), "no_identity".to_owned())];
    let labels = endpoint.labels.iter().map(|(k, v)| (k.clone(), v.clone()));
    labels.chain(tls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::Peer, transport::Turn};
    use std::time::Duration;
    use tokio::time::Instant;

    fn workshop(registry: &Arc<Registry>) -> Workshop {
        let limits = Limits::default();
        let meter = registry.meter(Direction::Outbound, Peer::Destination);
        Workshop {
            worker: 0,
            registry: registry.clone(),
            tap: Tap::new(),
            connections: Arc::new(Settings::new(&limits, meter, Turn::start())),
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
            let leaf = Leaf::new("books:7002", ports.iter().map(endpoint));
            Destination::named("books:7002", "books:7002").with_leaves([leaf])
        };
        let start = Instant::now();
        let kept = |minutes: u64| {
            let _ = registry.render(start + Duration::from_secs(minutes * 60));
            registry.kept()
        };
        let joint = Arc::default();
        let (stack, mut handles) = stack(workshop(&registry), joint, &at(&[1, 2]));
        // One of routes, one of each endpoint; in use for as long as it may be.
        assert_eq!((kept(0), kept(100)), (3, 3));
        handles.apply(&at(&[1]));
        assert_eq!((kept(100), kept(109), kept(110)), (3, 3, 2));
        handles.apply(&at(&[1, 3]));
        assert_eq!(kept(110), 3);
        drop((stack, handles));
        assert_eq!((kept(110), kept(119), kept(120)), (3, 3, 0));
    }
}
