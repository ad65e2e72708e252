//! Resources written to the folder, and copies of the last valid ones.

use super::{
    FileState, Inner, Local, Scan,
    folder::{self, Entry, Stamp},
};
use crate::resource::{Key, Manifest, Outcome};
use anyhow::{Context, Result};
use mesh_api::ManifestKind;
use mesh_control::{
    model::{self, Reference, Status},
    source::{BoxError, BoxFuture, ResourceStore, Sink},
};
use mesh_local::atomic;
use mesh_tap::har::iso8601;
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

impl ResourceStore for Local {
    fn put(
        &self,
        resources: Vec<model::Resource>,
    ) -> BoxFuture<'_, Result<Vec<Outcome>, BoxError>> {
        let inner = self.0.clone();
        let manifests: Vec<_> = resources.iter().map(Manifest::from).collect();
        // Waiting for the disk is no business of the runtime's only thread.
        let put = tokio::task::spawn_blocking(move || inner.put(manifests));
        Box::pin(async { Ok(put.await??) })
    }

    fn delete(&self, resource: Reference) -> BoxFuture<'_, Result<bool, BoxError>> {
        let inner = self.0.clone();
        let delete = move || inner.delete(&Key::try_from(&resource)?);
        let delete = tokio::task::spawn_blocking(delete);
        Box::pin(async { Ok(delete.await??) })
    }

    /// Conditions are kept in memory: after a restart they are computed again.
    fn set_status(
        &self,
        resource: Reference,
        status: Status,
    ) -> BoxFuture<'_, Result<bool, BoxError>> {
        let kept = self.0.set_status(resource, status);
        Box::pin(async move { Ok(kept) })
    }

    fn status(&self, resource: &Reference) -> Status {
        self.0.statuses().get(resource).cloned().unwrap_or_default()
    }
}

impl Inner {
    fn put(&self, resources: Vec<Manifest>) -> Result<Vec<Outcome>> {
        let sink = self.sink()?;
        let mut scan = self.scan();
        let rejections = self.index.rejections();
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for mut resource in resources {
            let key = &resource.key;
            let path = self.path(&scan, key);
            let present = self.index.resource(&key.into());
            let present = present.as_ref().map(Manifest::from);
            resource.created = match &present {
                Some(present) => present.created.clone(),
                // Splits of one service are told apart by age.
                None if key.kind == ManifestKind::TrafficSplit => Some(iso8601(SystemTime::now())),
                None => None,
            };
            let is_good = !rejections
                .iter()
                .any(|rejection| Path::new(&rejection.source) == path);
            outcomes.push(match present {
                Some(present) if present == resource && is_good => Outcome::Unchanged,
                Some(_) => Outcome::Configured,
                None => Outcome::Created,
            });
            if outcomes.last() != Some(&Outcome::Unchanged) {
                changes.push((path, resource));
            }
        }

        let context = |path: &Path| format!("cannot write {}", path.display());
        // All or none: what can fail for want of space or permission comes before the first
        // change.
        let mut staged = Vec::new();
        for (path, resource) in &changes {
            let file = atomic::stage(path, resource.to_yaml().as_bytes());
            staged.push((path, file.with_context(|| context(path))?));
        }
        for (path, file) in staged {
            file.commit().with_context(|| context(path))?;
        }
        for (path, resource) in &changes {
            let stamp = fs::metadata(path).map(|metadata| Stamp::of(&metadata));
            let entry = Entry {
                path: path.clone(),
                key: Ok(resource.key.clone()),
                stamp: stamp.with_context(|| context(path))?,
            };
            scan.files.insert(
                path.clone(),
                FileState {
                    stamp: Some(entry.stamp),
                    is_read: true,
                    key: Some(resource.key.clone()),
                },
            );
            self.take(sink, &mut scan, &entry);
        }
        Ok(outcomes)
    }

    fn delete(&self, key: &Key) -> Result<bool> {
        let sink = self.sink()?;
        let mut scan = self.scan();
        let path = self.path(&scan, key);
        let was_file =
            atomic::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        scan.files.remove(&path);
        sink.clear_rejection(&path.to_string_lossy());
        Ok(self.forget(sink, key) || was_file)
    }

    /// Where a resource is, or goes.
    fn path(&self, scan: &Scan, key: &Key) -> PathBuf {
        let declared = scan
            .files
            .iter()
            .find(|(_, seen)| seen.key.as_ref() == Some(key) && seen.stamp.is_some());
        match declared {
            Some((path, _)) => path.clone(),
            None => folder::path(&self.state.resources(), key),
        }
    }

    /// Keeps a copy of what is good, for the day its file is not.
    pub(super) fn remember(&self, resource: &Manifest) {
        let path = folder::path(&self.state.accepted(), &resource.key);
        let text = resource.to_yaml();
        if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
            return;
        }
        if let Err(error) = atomic::write(&path, text.as_bytes()) {
            tracing::warn!("cannot write {}: {error}", path.display());
        }
    }

    pub(super) fn recall(&self, key: &Key) -> Option<Manifest> {
        let path = folder::path(&self.state.accepted(), key);
        let text = fs::read_to_string(&path).ok()?;
        self.admit(&text, &path.to_string_lossy(), key).ok()
    }

    pub(super) fn forget(&self, sink: &Sink, key: &Key) -> bool {
        let path = folder::path(&self.state.accepted(), key);
        if let Err(error) = atomic::remove(&path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
        let is_gone = sink.delete(key.into());
        self.statuses().remove(&key.into());
        is_gone
    }
}
