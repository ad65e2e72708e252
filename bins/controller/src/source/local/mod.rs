//! The folder of manifests, and the file in which `mesh up` lists its workloads.
//!
//! The folder is scanned every 200 ms instead of being watched by the kernel: that takes
//! a few dozen system calls for a mesh of this size, holds for any file system, cannot overflow,
//! and finds the same after a restart.

mod folder;
mod objects;
mod store;
pub mod workloads;

use self::{
    folder::{Entry, Stamp},
    workloads::Workloads,
};
use crate::{
    StateDir, admit,
    resource::{Key, Manifest, Rejection},
};
use anyhow::{Context, Result};
use mesh_control::{
    index::Index,
    model::{self, Reference, Status},
    source::{BoxError, BoxFuture, Sink, Source},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// The interval at which the folder is scanned. A change by hand takes effect when two scans find
/// the same, since editors write in pieces.
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
    statuses: Mutex<BTreeMap<Reference, Status>>,
    scan: Mutex<Scan>,
}

/// The findings of the last scan.
#[derive(Debug, Default)]
struct Scan {
    files: BTreeMap<PathBuf, FileState>,
    workloads: Option<Stamp>,
}

#[derive(Debug)]
struct FileState {
    stamp: Option<Stamp>,
    /// Its present content has been read.
    is_read: bool,
    /// The resource that it declares, or declared when it was last valid.
    key: Option<Key>,
}

/// The time at which a changed file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    /// At once: at the start, and after writes that are atomic.
    AtOnce,
    /// When the next scan finds it unchanged.
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
            statuses: Mutex::default(),
            scan: Mutex::default(),
        })))
    }

    /// Reads the folder for the first time.
    fn start(&self, sink: Sink) -> Result<()> {
        let sink = self.0.sink.get_or_init(|| sink);
        self.0.look(&mut self.0.scan(), Timing::AtOnce)?;
        sink.ready();
        Ok(())
    }

    /// Scans the folder once.
    fn tick(&self) {
        // Held only by a change that is being written; the next scan comes soon enough.
        let Ok(mut scan) = self.0.scan.try_lock() else {
            return;
        };
        if let Err(error) = self.0.look(&mut scan, Timing::WhenSettled) {
            tracing::warn!("cannot scan the state folder: {error:#}");
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

impl Inner {
    fn scan(&self) -> MutexGuard<'_, Scan> {
        // After a panic the next scan corrects it.
        self.scan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self) -> Result<&Sink> {
        self.sink.get().context("the state folder is not read yet")
    }

    fn statuses(&self) -> MutexGuard<'_, BTreeMap<Reference, Status>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_status(&self, resource: Reference, status: Status) -> bool {
        // Held while the index is asked, so that a resource that goes meanwhile leaves nothing.
        let mut statuses = self.statuses();
        if self.index.resource(&resource).is_none() {
            statuses.remove(&resource);
            return false;
        }
        statuses.insert(resource, status);
        true
    }

    fn look(&self, scan: &mut Scan, timing: Timing) -> Result<()> {
        let sink = self.sink()?;
        let entries = folder::list(&self.state.resources())?;
        self.look_for_removed(sink, scan, &entries, timing);
        for entry in &entries {
            let seen = scan.files.entry(entry.path.clone()).or_insert(FileState {
                stamp: None,
                is_read: false,
                key: None,
            });
            let is_new = seen.stamp != Some(entry.stamp);
            if is_new {
                seen.stamp = Some(entry.stamp);
                seen.is_read = false;
            }
            if seen.is_read || (is_new && timing == Timing::WhenSettled) {
                continue;
            }
            self.take(sink, scan, entry);
        }
        self.look_at_workloads(sink, scan);
        Ok(())
    }

    /// A file that is gone deletes what it declared: but some editors take the old file away
    /// before they put the new one in its place.
    fn look_for_removed(&self, sink: &Sink, scan: &mut Scan, entries: &[Entry], timing: Timing) {
        let mut gone = Vec::new();
        for (path, seen) in &mut scan.files {
            if entries
                .binary_search_by(|entry| entry.path.cmp(path))
                .is_ok()
            {
                continue;
            }
            let was_missing = seen.stamp.take().is_none();
            if was_missing || timing == Timing::AtOnce {
                gone.push(path.clone());
            }
        }
        for path in gone {
            let seen = scan.files.remove(&path);
            sink.clear_rejection(&path.to_string_lossy());
            if let Some(key) = seen.and_then(|seen| seen.key) {
                tracing::info!("{key} deleted with its file {}", path.display());
                self.forget(sink, &key);
            }
        }
    }

    /// Reads a file into the index, or rejects it.
    fn take(&self, sink: &Sink, scan: &mut Scan, entry: &Entry) {
        let result = self.read(scan, entry);
        let source = entry.path.to_string_lossy().into_owned();
        let seen = scan.files.entry(entry.path.clone()).or_insert(FileState {
            stamp: Some(entry.stamp),
            is_read: true,
            key: None,
        });
        seen.is_read = true;
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

    fn read(&self, scan: &Scan, entry: &Entry) -> Result<Manifest, Rejection> {
        let source = entry.path.to_string_lossy();
        let reject = |reason: String| Rejection::of(&source, reason);
        let key = entry.key.clone().map_err(reject)?;
        let owner = scan.files.iter().find(|(path, seen)| {
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

    /// `mesh up` writes the file atomically, so a change counts at once. If the file is
    /// removed or invalid, its last content stays in force.
    fn look_at_workloads(&self, sink: &Sink, scan: &mut Scan) {
        let path = self.state.workloads();
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        let stamp = Stamp::of(&metadata);
        if scan.workloads.replace(stamp) == Some(stamp) {
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
