//! A client's whole stack, as in a sidecar: every layer is on, and tap has no subscriptions.

use crate::{NoBody, Noop, profiles};
use http::{Request, Response};
use http_body::Body;
use mesh_balance::{Balance, Config};
use mesh_core::BoxError;
use mesh_profile::{Profile, ProfileLayer};
use mesh_retry::{Budget, RetryLayer};
use mesh_split::Split;
use mesh_stats::Stats;
use mesh_tap::{Labels, Tap};
use mesh_timeout::TimeoutLayer;
use std::net::SocketAddr;
use tower_layer::Layer;
use tower_service::Service;

/// Number of the destination's routes, and of the endpoints of each of its three leaves.
pub const ROUTES: usize = 10;
const ENDPOINTS: u16 = 10;

/// State that the stacks of one destination share; each worker has a stack.
#[derive(Clone, Debug)]
pub struct Destination {
    is_retryable: bool,
    /// The budget of all its workers.
    pub budget: Budget,
}

impl Destination {
    /// A destination whose routes are all retryable, or none of them.
    pub fn new(is_retryable: bool) -> Self {
        Self {
            is_retryable,
            budget: Budget::default(),
        }
    }

    /// A worker's stack, on top of [`Noop`]: profile, effective stats, timeout, retry, actual
    /// stats, a split among three leaves, a balancer for each, and an idle tap for each endpoint.
    ///
    /// The profile is compiled anew, as each worker does: a route that two threads clone at once
    /// would cost both of them.
    pub fn client(
        &self,
    ) -> impl Service<
        Request<NoBody>,
        Response = Response<impl Body + use<>>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + Send
    + use<> {
        let (stats, tap) = (Stats::new(), Tap::new());
        let leaf = |n: u8| {
            let balance = Balance::with(Config::default().with_seed(n.into()));
            let addrs = (0..ENDPOINTS).map(|port| SocketAddr::from(([127, 0, 0, n], 1 + port)));
            let endpoint = |addr| tap.layer().endpoint(addr, Labels::default()).layer(Noop);
            balance.handle().update(addrs, endpoint);
            balance
        };
        let split = Split::new([(leaf(1), 90), (leaf(2), 9), (leaf(3), 1)]);
        let split = split.expect("leaves with weights");

        let actual = stats.actual().layer(split);
        let retry = RetryLayer::per_route(self.budget.clone()).layer(actual);
        let timeout = TimeoutLayer::per_route().layer(retry);
        let effective = stats.effective().layer(timeout);
        ProfileLayer::new(self.profile()).layer(effective)
    }

    /// Returns the profile that requests are matched with; [`path`](Self::path) belongs to its last
    /// route.
    pub fn profile(&self) -> Profile {
        profiles::profile((0..ROUTES).map(profiles::template), self.is_retryable)
    }

    /// A path that a route matches.
    pub fn path() -> String {
        profiles::path(ROUTES - 1)
    }
}
