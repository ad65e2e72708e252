//! A folder of manifests, and the file in which `mesh up` says what runs.
//!
//! The folder is looked through every 200 ms instead of being watched by the kernel: that takes
//! a few dozen system calls for a mesh of this size, holds for any file system, cannot overflow,
//! and finds the same after a restart.

mod folder;

use self::folder::{Entry, Stamp};
use super::{Source, atomic};
use crate::{
    StateDir, admit,
    index::Shared,
    resource::{Key, Manifest, Outcome, Rejection},
    source::workloads::Workloads,
};
use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    index: Shared,
    known: Mutex<Known>,
}

/// What the last look has found.
#[derive(Debug, Default)]
struct Known {
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
    /// Reads the state folder into `index`, and creates what it lacks.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read or created. Files in it that cannot be used are rejections
    /// in the index.
    pub fn open(state: StateDir, index: Shared) -> Result<Self> {
        for folder in [state.resources(), state.run(), state.accepted()] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let local = Self(Arc::new(Inner {
            state,
            index,
            known: Mutex::default(),
        }));
        local.0.look(&mut local.0.known(), Trust::AtOnce)?;
        Ok(local)
    }

    /// Looks through everything once.
    fn tick(&self) {
        // Held only by a change that is being written; the next look comes soon enough.
        let Ok(mut known) = self.0.known.try_lock() else {
            return;
        };
        if let Err(error) = self.0.look(&mut known, Trust::WhenSettled) {
            tracing::warn!("cannot look through the state folder: {error:#}");
        }
    }
}

impl Source for Local {
    fn watch(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut tick = interval(EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                self.tick();
            }
        })
    }

    fn put(&self, resources: Vec<Manifest>) -> BoxFuture<'_, Result<Vec<Outcome>>> {
        let inner = self.0.clone();
        // Waiting for the disk is no business of the runtime's only thread.
        let put = tokio::task::spawn_blocking(move || inner.put(&resources));
        Box::pin(async { put.await? })
    }

    fn delete(&self, key: Key) -> BoxFuture<'_, Result<bool>> {
        let inner = self.0.clone();
        let delete = tokio::task::spawn_blocking(move || inner.delete(&key));
        Box::pin(async { delete.await? })
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        // After a panic the next look finds out what is so.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, known: &mut Known, trust: Trust) -> Result<()> {
        let entries = folder::list(&self.state.resources())?;
        self.look_for_removed(known, &entries, trust);
        for entry in &entries {
            let seen = known.files.entry(entry.path.clone()).or_insert(Seen {
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
            self.take(known, entry);
        }
        self.look_at_workloads(known);
        Ok(())
    }

    /// A file that is gone deletes what it declared: but some editors take the old file away
    /// before they put the new one in its place.
    fn look_for_removed(&self, known: &mut Known, entries: &[Entry], trust: Trust) {
        let mut gone = Vec::new();
        for (path, seen) in &mut known.files {
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
            let seen = known.files.remove(&path);
            self.index.lock().absolve(&path.to_string_lossy());
            if let Some(key) = seen.and_then(|seen| seen.key) {
                tracing::info!("{key} deleted with its file {}", path.display());
                self.forget(&key);
            }
        }
    }

    /// Reads a file into the index, or rejects it.
    fn take(&self, known: &mut Known, entry: &Entry) {
        let result = self.read(known, entry);
        let source = entry.path.to_string_lossy().into_owned();
        let seen = known.files.entry(entry.path.clone()).or_insert(Seen {
            stamp: Some(entry.stamp),
            is_taken: true,
            key: None,
        });
        seen.is_taken = true;
        match result {
            Ok(resource) => {
                let key = resource.key.clone();
                self.remember(&resource);
                let mut index = self.index.lock();
                index.absolve(&source);
                if index.apply(resource) {
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
                    self.index.lock().apply(last_good);
                }
                self.index.lock().reject(rejection);
            }
        }
    }

    fn read(&self, known: &Known, entry: &Entry) -> Result<Manifest, Rejection> {
        let source = entry.path.to_string_lossy();
        let reject = |reason: String| Rejection::of(&source, reason);
        let key = entry.key.clone().map_err(reject)?;
        let owner = known.files.iter().find(|(path, seen)| {
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
        let domain = self.index.lock().domain().to_owned();
        let mut all = admit::read(text, source, &key.namespace, &domain)?;
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
        let mut known = self.known();
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for resource in resources {
            let key = &resource.key;
            let path = self.path(&known, key);
            let index = self.index.lock();
            let present = index.resource(key);
            let is_good = !index
                .rejected()
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
            known.files.insert(
                path.clone(),
                Seen {
                    stamp: Some(entry.stamp),
                    is_taken: true,
                    key: Some(resource.key.clone()),
                },
            );
            self.take(&mut known, &entry);
        }
        Ok(outcomes)
    }

    fn delete(&self, key: &Key) -> Result<bool> {
        let mut known = self.known();
        let path = self.path(&known, key);
        let was_file =
            atomic::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        known.files.remove(&path);
        self.index.lock().absolve(&path.to_string_lossy());
        Ok(self.forget(key) || was_file)
    }

    /// Where a resource is, or goes.
    fn path(&self, known: &Known, key: &Key) -> PathBuf {
        let declared = known
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

    fn forget(&self, key: &Key) -> bool {
        let path = folder::path(&self.state.accepted(), key);
        if let Err(error) = atomic::remove(&path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
        self.index.lock().delete(key)
    }

    /// `mesh up` writes the file atomically, so a change counts at once. Should the file go
    /// away or go bad, what it said last still runs.
    fn look_at_workloads(&self, known: &mut Known) {
        let path = self.state.workloads();
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        let stamp = Stamp::of(&metadata);
        if known.workloads.replace(stamp) == Some(stamp) {
            return;
        }
        let source = path.to_string_lossy();
        match read_workloads(&path) {
            Ok(workloads) => {
                let mut index = self.index.lock();
                index.absolve(&source);
                index.set_workloads(workloads);
            }
            Err(error) => {
                let rejection = Rejection::of(&source, error);
                tracing::warn!("rejected: {rejection}");
                self.index.lock().reject(rejection);
            }
        }
    }
}

fn read_workloads(path: &Path) -> io::Result<Workloads> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests;
