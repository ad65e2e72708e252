//! Keeps a running stack as a [`Destination`] says, without rebuilding it.
//!
//! A [`Follower`] holds the handles of one stack: the routes, the retry budget, one split for each
//! rule, and one balancer for each backend. [`apply`](Follower::apply) changes only the parts that
//! differ: an unchanged endpoint keeps its connections, its load and its history, whatever else
//! changes; one of which anything changed is replaced, together with its connections.
//!
//! The program says with a [`Connect`] how its services are made. [`Rules`] is the service at the
//! bottom of its stack.
//!
//! ```
//! use mesh_balance::{Balance, BoxError};
//! use mesh_discover::{Backend, Destination, Endpoint, follow::{Connect, Follower}};
//! use std::sync::Arc;
//! # #[derive(Clone)] struct Client(std::net::SocketAddr);
//!
//! struct Plain;
//!
//! impl Connect for Plain {
//!     type Service = Client;
//!     type Backend = Balance<Client>;
//!     type Guard = ();
//!
//!     fn endpoint(&mut self, _backend: &Arc<str>, endpoint: &Endpoint) -> (Client, ()) {
//!         (Client(endpoint.addr), ())
//!     }
//!
//!     fn backend(&mut self, _name: Option<&Arc<str>>) -> (Balance<Client>, Balance<Client>, ()) {
//!         let balance = Balance::new();
//!         (balance.clone(), balance, ())
//!     }
//!
//!     fn is_available(backend: &Balance<Client>) -> bool {
//!         backend.is_available()
//!     }
//! }
//!
//! let (rules, mut follower) = Follower::new(Plain, &Default::default(), None);
//! let books = Backend::new("books:7002", [Endpoint::new(([127, 0, 0, 1], 7002).into())]);
//! follower.apply(&Destination::named("books:7002", "books:7002").with_backend(books));
//! # drop(rules);
//! ```

mod backends;
mod rules;

pub use self::rules::Rules;
pub use mesh_split::SharedCounter;

use self::{backends::Backends, rules::RulesHandle};
use crate::{Destination, Endpoint};
use mesh_balance::Balance;
use mesh_profile::{Profile, ProfileHandle, RetryBudget};
use std::{fmt, sync::Arc};

/// Makes the services of a followed destination.
pub trait Connect {
    /// The service of one endpoint.
    type Service: Clone;
    /// The service of one backend, above its balancer.
    type Backend: Clone;
    /// A value that is kept for as long as the endpoint, or the backend, is in use.
    type Guard;

    /// Makes the service of an endpoint: once when it comes, and again when anything known of it
    /// has changed.
    fn endpoint(&mut self, backend: &Arc<str>, endpoint: &Endpoint)
    -> (Self::Service, Self::Guard);

    /// Makes the balancer of the backend called `name`, and the service above it.
    ///
    /// Without a name it takes the requests that come before the first backend is known, and then
    /// becomes that backend.
    fn backend(
        &mut self,
        name: Option<&Arc<str>>,
    ) -> (Balance<Self::Service>, Self::Backend, Self::Guard);

    /// Returns true if `backend` has an endpoint; one that has none is skipped by the splits.
    fn is_available(backend: &Self::Backend) -> bool;

    /// Takes a changed retry budget.
    fn set_budget(&mut self, budget: RetryBudget) {
        let _ = budget;
    }
}

/// The handles of a running stack, which follow a destination.
pub struct Follower<C: Connect> {
    connect: C,
    profile: ProfileHandle,
    applied: Profile,
    rules: RulesHandle<C::Backend>,
    backends: Backends<C>,
}

impl<C: Connect> Follower<C> {
    /// The bottom of a stack, and what changes it.
    ///
    /// Without a `first` destination, requests wait for one in the balancer. The rules of several
    /// stacks that share `counter` are exact together.
    pub fn new(
        mut connect: C,
        counter: &SharedCounter,
        first: Option<&Destination>,
    ) -> (Rules<C::Backend>, Self) {
        let (backends, service) = Backends::new(&mut connect, first);
        let (rules, handle) = Rules::new(service, counter, C::is_available);
        let mut follower = Self {
            connect,
            profile: ProfileHandle::new(Profile::default()),
            applied: Profile::default(),
            rules: handle,
            backends,
        };
        if let Some(first) = first {
            follower.apply(first);
        }
        (rules, follower)
    }

    /// The routes, for a `ProfileLayer` above the rules.
    pub fn profile(&self) -> &ProfileHandle {
        &self.profile
    }

    /// Makes the stack do what `destination` says.
    ///
    /// A destination whose rules give no known backend anything changes neither rules nor
    /// backends: the last good answer stays in force.
    pub fn apply(&mut self, destination: &Destination) {
        if self.applied != *destination.profile() {
            self.applied = destination.profile().clone();
            self.connect.set_budget(self.applied.budget());
            // Routes of its own: threads that share one slow each other down.
            self.profile.set(self.applied.for_worker());
        }
        self.backends.apply(destination, &mut self.connect);
        if self.rules.apply(destination, &self.backends) {
            self.backends.retain(destination);
        }
    }
}

impl<C: Connect> fmt::Debug for Follower<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("profile", &self.applied)
            .finish_non_exhaustive()
    }
}
