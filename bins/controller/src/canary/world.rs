//! Access of the drivers to the mesh: objects, statistics, fleet and store.

use super::{http::HttpClient, metrics::Metrics};
use crate::StateDir;
use mesh_control::{
    index::Index,
    source::{Fleet, ResourceStore},
    stats::Store,
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

/// Most webhooks that are called at once without waiting for them.
const MAX_NOTIFICATIONS: usize = 64;

/// The mesh, as the drivers of all Canaries see and change it.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) index: Index,
    pub(super) resources: Arc<dyn ResourceStore>,
    pub(super) fleet: Arc<dyn Fleet>,
    pub(super) metrics: Metrics,
    pub(super) client: HttpClient,
    pub(super) state: StateDir,
    pub(super) notifications: Arc<Semaphore>,
}

impl World {
    pub(crate) fn new(
        index: Index,
        store: Arc<Mutex<Store>>,
        resources: Arc<dyn ResourceStore>,
        fleet: Arc<dyn Fleet>,
        state: StateDir,
        server: Option<String>,
    ) -> Self {
        let client = HttpClient::new(index.clone());
        Self {
            metrics: Metrics {
                index: index.clone(),
                store,
                client: client.clone(),
                server,
            },
            index,
            resources,
            fleet,
            client,
            state,
            notifications: Arc::new(Semaphore::new(MAX_NOTIFICATIONS)),
        }
    }

    /// Returns the time since the Unix epoch.
    pub(super) fn now(&self) -> Duration {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.unwrap_or_default()
    }
}
