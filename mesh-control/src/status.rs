//! Keeps the conditions of resources up to date.

use crate::{index::Index, source::ResourceStore};

/// Gives `store` the conditions of each resource when they may have changed, until `index` is gone.
///
/// A change costs the resources that it touches. What cannot be kept is logged, and kept with the
/// next change.
pub async fn run(index: &Index, store: &dyn ResourceStore) {
    let mut changes = index.changes();
    loop {
        for (resource, status) in index.take_changed_statuses() {
            if let Err(error) = store.set_status(resource.clone(), status).await {
                tracing::warn!(%resource, "cannot keep its conditions: {error}");
            }
        }
        if !changes.changed().await {
            return;
        }
    }
}
