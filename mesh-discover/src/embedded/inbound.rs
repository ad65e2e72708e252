use super::{
    following::{Followed, Following},
    metrics::{Metrics, Series},
};
use crate::{Destination, Watch};
use mesh_profile::{Profile, ProfileHandle, ProfileLayer, Profiled};
use mesh_stats::{Counted, Stats};
use std::{fmt, sync::Arc};
use tower_layer::Layer;

/// Counts what a program serves, by the routes of its own profile, as a sidecar in front of it
/// would.
///
/// Timeouts and retries of the routes are the callers' business and have no effect here.
#[derive(Clone)]
pub struct Inbound {
    profile: ProfileHandle,
    series: Arc<Series>,
    following: Following,
}

impl Inbound {
    /// Follows `watch`, which is that of the name by which others call the program, and counts in
    /// `metrics`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn follow(watch: Watch<Destination>, metrics: &Metrics) -> Self {
        let profile = ProfileHandle::new(Profile::default());
        let series = metrics.own();
        let following = {
            let (series, profile) = (series.clone(), profile.clone());
            Following::start(watch, move |destination| {
                series.set_name(destination.name());
                if profile.get() != *destination.profile() {
                    profile.set(destination.profile().clone());
                }
            })
        };
        Self {
            profile,
            series,
            following,
        }
    }

    /// The counters of this service.
    pub fn stats(&self) -> &Stats {
        self.series.stats()
    }
}

impl<S> Layer<S> for Inbound {
    type Service = Followed<Profiled<Counted<Counted<S>>>>;

    fn layer(&self, inner: S) -> Self::Service {
        let stats = self.series.stats();
        // Which route is this; what came of it, by route; and all together.
        let service = stats.effective().layer(stats.endpoint().layer(inner));
        let service = ProfileLayer::watch(self.profile.clone()).layer(service);
        Followed::new(service, self.following.clone())
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}
