//! A folder of manifests, and the file in which `mesh up` says what runs.
//!
//! The folder is looked through every 200 ms instead of being watched by the kernel: that takes
//! a few dozen system calls for a mesh of this size, holds for any file system, cannot overflow,
//! and finds the same after a restart.

mod folder;
mod objects;
pub mod workloads;

use self::{
    folder::{Entry, Stamp},
    workloads::Workloads,
};
use crate::{
    StateDir, admit,
    resource::{Key, Manifest, Outcome, Rejection},
};
use anyhow::{Context, Result};
use mesh_control::{
    index::Index,
    model::{self, Reference, Status},
    source::{BoxError, BoxFuture, ResourceStore, Sink, Source},
};
use mesh_local::atomic;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// How often the folder is looked through. A change by hand must also be the same twice, since
/// editors write in pieces, so it is in force after at most two of these.
const EVERY: Duration = Duration::from_millis(200);

/// The longest manifest: what an API server would take, with room to spare.
const MAX_MANIFEST: u64 = 4 << 20;

/// The resources and workloads of a mesh on one machine.
#[derive(Clone, Debug)]
pub struct Local(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: StateDir,
    index: Index,
    /// Set when the folder is followed.
    sink: OnceLock<Sink>,
    looked: Mutex<Looked>,
}

/// The findings of the last look.
#[derive(Debug, Default)]
struct Looked {
    files: BTreeMap<PathBuf, Seen>,
    workloads: Option<Stamp>,
}

#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    /// Whether it has been read as it is.
    is_taken: bool,
    /// What it declares, or declared before it went bad.
    key: Option<Key>,
}

/// Whether a change counts at the first sight of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nobody can be in the middle of writing, or it is too early to wait.
    AtOnce,
    /// Only when the next look finds the same.
    WhenSettled,
}

impl Local {
    /// Opens the state folder, and creates what it lacks. Reads nothing yet; `index` is the one
    /// that the folder feeds.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created.
    pub fn open(state: StateDir, index: Index) -> Result<Self> {
        for folder in [state.resources(), state.run(), state.accepted()] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(Self(Arc::new(Inner {
            state,
            index,
            sink: OnceLock::new(),
            looked: Mutex::default(),
        })))
    }

    /// Reads the folder for the first time.
    fn start(&self, sink: Sink) -> Result<()> {
        let sink = self.0.sink.get_or_init(|| sink);
        self.0.look(&mut self.0.looked(), Trust::AtOnce)?;
        sink.ready();
        Ok(())
    }

    /// Looks through everything once.
    fn tick(&self) {
        // Held only by a change that is being written; the next look comes soon enough.
        let Ok(mut looked) = self.0.looked.try_lock() else {
            return;
        };
        if let Err(error) = self.0.look(&mut looked, Trust::WhenSettled) {
            tracing::warn!("cannot look through the state folder: {error:#}");
        }
    }
}

impl Source for Local {
    /// Follows the folder. Files in it that cannot be used are rejections in the index.
    fn run(&self, sink: Sink) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            self.start(sink)?;
            let mut tick = interval(EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                self.tick();
            }
        })
    }
}

impl ResourceStore for Local {
    fn put(
        &self,
        resources: Vec<model::Resource>,
    ) -> BoxFuture<'_, Result<Vec<Outcome>, BoxError>> {
        let inner = self.0.clone();
        let manifests: Vec<_> = resources.iter().map(Manifest::from).collect();
        // Waiting for the disk is no business of the runtime's only thread.
        let put = tokio::task::spawn_blocking(move || inner.put(&manifests));
        Box::pin(async { Ok(put.await??) })
    }

    fn delete(&self, resource: Reference) -> BoxFuture<'_, Result<bool, BoxError>> {
        let inner = self.0.clone();
        let delete = move || inner.delete(&Key::try_from(&resource)?);
        let delete = tokio::task::spawn_blocking(delete);
        Box::pin(async { Ok(delete.await??) })
    }

    /// Conditions of resources are shown by the API, and not kept: after a restart every file is
    /// read again.
    fn set_status(
        &self,
        resource: Reference,
        status: Status,
    ) -> BoxFuture<'_, Result<bool, BoxError>> {
        let inner = self.0.clone();
        Box::pin(async move { Ok(inner.set_status(&resource, status)?) })
    }
}

impl Inner {
    fn looked(&self) -> MutexGuard<'_, Looked> {
        // After a panic the next look finds out what is so.
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self) -> Result<&Sink> {
        self.sink.get().context("the state folder is not read yet")
    }

    fn set_status(&self, resource: &Reference, status: Status) -> Result<bool> {
        let sink = self.sink()?;
        let key = Key::try_from(resource)?;
        let looked = self.looked();
        let path = self.path(&looked, &key);
        if !looked.files.contains_key(&path) {
            return Ok(false);
        }
        let source = path.to_string_lossy();
        match status {
            Status::Rejected(rejection) => sink.reject(model::Rejection {
                source: source.into_owned(),
                resource: Some(resource.clone()),
                ..rejection
            }),
            Status::Accepted => sink.clear_rejection(&source),
        }
        Ok(true)
    }

    fn look(&self, looked: &mut Looked, trust: Trust) -> Result<()> {
        let sink = self.sink()?;
        let entries = folder::list(&self.state.resources())?;
        self.look_for_removed(sink, looked, &entries, trust);
        for entry in &entries {
            let seen = looked.files.entry(entry.path.clone()).or_insert(Seen {
                stamp: None,
                is_taken: false,
                key: None,
            });
            let is_new = seen.stamp != Some(entry.stamp);
            if is_new {
                seen.stamp = Some(entry.stamp);
                seen.is_taken = false;
            }
            if seen.is_taken || (is_new && trust == Trust::WhenSettled) {
                continue;
            }
            self.take(sink, looked, entry);
        }
        self.look_at_workloads(sink, looked);
        Ok(())
    }

    /// A file that is gone deletes what it declared: but some editors take the old file away
    /// before they put the new one in its place.
    fn look_for_removed(&self, sink: &Sink, looked: &mut Looked, entries: &[Entry], trust: Trust) {
        let mut gone = Vec::new();
        for (path, seen) in &mut looked.files {
            if entries
                .binary_search_by(|entry| entry.path.cmp(path))
                .is_ok()
            {
                continue;
            }
            let was_missing = seen.stamp.take().is_none();
            if was_missing || trust == Trust::AtOnce {
                gone.push(path.clone());
            }
        }
        for path in gone {
            let seen = looked.files.remove(&path);
            sink.clear_rejection(&path.to_string_lossy());
            if let Some(key) = seen.and_then(|seen| seen.key) {
                tracing::info!("{key} deleted with its file {}", path.display());
                self.forget(sink, &key);
            }
        }
    }

    /// Reads a file into the index, or rejects it.
    fn take(&self, sink: &Sink, looked: &mut Looked, entry: &Entry) {
        let result = self.read(looked, entry);
        let source = entry.path.to_string_lossy().into_owned();
        let seen = looked.files.entry(entry.path.clone()).or_insert(Seen {
            stamp: Some(entry.stamp),
            is_taken: true,
            key: None,
        });
        seen.is_taken = true;
        match result {
            Ok(resource) => {
                let key = resource.key.clone();
                self.remember(&resource);
                sink.clear_rejection(&source);
                if sink.apply(model::Resource::from(resource)) {
                    tracing::info!("{key} of namespace {} taken from {source}", key.namespace);
                }
                seen.key = Some(key);
            }
            Err(mut rejection) => {
                tracing::warn!("rejected: {rejection}");
                rejection.key = entry.key.clone().ok();
                // What it was before the controller was started is still what holds.
                if let Ok(key) = &entry.key
                    && seen.key.is_none()
                    && let Some(last_good) = self.recall(key)
                {
                    seen.key = Some(key.clone());
                    sink.apply(model::Resource::from(last_good));
                }
                sink.reject(rejection.into());
            }
        }
    }

    fn read(&self, looked: &Looked, entry: &Entry) -> Result<Manifest, Rejection> {
        let source = entry.path.to_string_lossy();
        let reject = |reason: String| Rejection::of(&source, reason);
        let key = entry.key.clone().map_err(reject)?;
        let owner = looked.files.iter().find(|(path, seen)| {
            **path != entry.path && seen.key.as_ref() == Some(&key) && seen.stamp.is_some()
        });
        if let Some((owner, _)) = owner {
            return Err(reject(format!("{} declares it already", owner.display())));
        }
        if entry.stamp.len > MAX_MANIFEST {
            return Err(reject(format!("longer than {MAX_MANIFEST} bytes")));
        }
        let text = fs::read_to_string(&entry.path).map_err(|error| reject(error.to_string()))?;
        self.admit(&text, &source, &key)
    }

    /// The one resource in `text`, which must be `key`.
    fn admit(&self, text: &str, source: &str, key: &Key) -> Result<Manifest, Rejection> {
        let domain = self.index.domain();
        let mut all = admit::read(text, source, &key.namespace, domain)?;
        let Some(admitted) = all.pop() else {
            return Err(Rejection::of(source, "there is no resource in it"));
        };
        let resource = admitted.resource;
        if !all.is_empty() {
            return Err(Rejection::of(source, "one resource to a file, please"));
        }
        if resource.key != *key {
            let reason = format!(
                "by its place it is {key} of namespace {}, but it says it is {} of namespace {}",
                key.namespace, resource.key, resource.key.namespace
            );
            return Err(Rejection::of(source, reason));
        }
        Ok(resource)
    }

    fn put(&self, resources: &[Manifest]) -> Result<Vec<Outcome>> {
        let sink = self.sink()?;
        let mut looked = self.looked();
        let rejections = self.index.rejections();
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for resource in resources {
            let key = &resource.key;
            let path = self.path(&looked, key);
            let present = self.index.resource(&key.into());
            let present = present.as_ref().map(Manifest::from);
            let is_good = !rejections
                .iter()
                .any(|rejection| Path::new(&rejection.source) == path);
            outcomes.push(match present {
                Some(present) if present == *resource && is_good => Outcome::Unchanged,
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
            looked.files.insert(
                path.clone(),
                Seen {
                    stamp: Some(entry.stamp),
                    is_taken: true,
                    key: Some(resource.key.clone()),
                },
            );
            self.take(sink, &mut looked, &entry);
        }
        Ok(outcomes)
    }

    fn delete(&self, key: &Key) -> Result<bool> {
        let sink = self.sink()?;
        let mut looked = self.looked();
        let path = self.path(&looked, key);
        let was_file =
            atomic::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        looked.files.remove(&path);
        sink.clear_rejection(&path.to_string_lossy());
        Ok(self.forget(sink, key) || was_file)
    }

    /// Where a resource is, or goes.
    fn path(&self, looked: &Looked, key: &Key) -> PathBuf {
        let declared = looked
            .files
            .iter()
            .find(|(_, seen)| seen.key.as_ref() == Some(key) && seen.stamp.is_some());
        match declared {
            Some((path, _)) => path.clone(),
            None => folder::path(&self.state.resources(), key),
        }
    }

    /// Keeps a copy of what is good, for the day its file is not.
    fn remember(&self, resource: &Manifest) {
        let path = folder::path(&self.state.accepted(), &resource.key);
        let text = resource.to_yaml();
        if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
            return;
        }
        if let Err(error) = atomic::write(&path, text.as_bytes()) {
            tracing::warn!("cannot write {}: {error}", path.display());
        }
    }

    fn recall(&self, key: &Key) -> Option<Manifest> {
        let path = folder::path(&self.state.accepted(), key);
        let text = fs::read_to_string(&path).ok()?;
        self.admit(&text, &path.to_string_lossy(), key).ok()
    }

    fn forget(&self, sink: &Sink, key: &Key) -> bool {
        let path = folder::path(&self.state.accepted(), key);
        if let Err(error) = atomic::remove(&path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
        sink.delete(key.into())
    }

    /// `mesh up` writes the file atomically, so a change counts at once. Should the file go
    /// away or go bad, what it said last still runs.
    fn look_at_workloads(&self, sink: &Sink, looked: &mut Looked) {
        let path = self.state.workloads();
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        let stamp = Stamp::of(&metadata);
        if looked.workloads.replace(stamp) == Some(stamp) {
            return;
        }
        let source = path.to_string_lossy();
        match read_workloads(&path) {
            Ok(workloads) => {
                sink.clear_rejection(&source);
                sink.send(objects::events(&workloads));
            }
            Err(error) => {
                let rejection = Rejection::of(&source, error);
                tracing::warn!("rejected: {rejection}");
                sink.reject(rejection.into());
            }
        }
    }
}

fn read_workloads(path: &Path) -> io::Result<Workloads> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests;
