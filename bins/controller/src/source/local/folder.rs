//! Which files a folder of resources holds, and what each must be by its place.

use crate::resource::Key;
use anyhow::{Context, Result};
use mesh_api::ManifestKind;
use mesh_local::atomic;
use mesh_manifest::names::{check_namespace, check_subdomain};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The depth to which folders are searched for files in the wrong place.
const DEPTH: usize = 4;

/// The most files that are read. More than that are not a folder of manifests.
const MAX_FILES: usize = 10_000;

/// A file of the folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// The key that its path requires, or the reason why the path is wrong.
    pub(super) key: Result<Key, String>,
    pub(super) stamp: Stamp,
}

/// Metadata that changes when a file is written, so that it need not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    modified: (i64, i64),
    pub(super) len: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            len: metadata.len(),
        }
    }
}

/// The file that declares `key`.
pub(super) fn path(root: &Path, key: &Key) -> PathBuf {
    let folder = root.join(&*key.namespace).join(key.kind.names().plural);
    folder.join(format!("{}.yaml", key.name))
}

/// Every YAML file in `root`, in a fixed order. What was left unfinished is removed.
///
/// # Errors
///
/// If a folder cannot be read: then removed files cannot be told.
pub(super) fn list(root: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    walk(root, root, DEPTH, &mut entries)?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn walk(root: &Path, folder: &Path, depth: usize, entries: &mut Vec<Entry>) -> Result<()> {
    let context = || format!("cannot read {}", folder.display());
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.with_context(context)?,
    };
    for item in listed {
        let item = item.with_context(context)?;
        let path = item.path();
        let name = item.file_name();
        let name = name.to_string_lossy();
        // Follows links. A file that has just gone away is one that is not there.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if name.starts_with('.') {
            // Ours are the only ones with that beginning, and no other process writes here.
            if atomic::is_leftover(&name) {
                let _ = fs::remove_file(&path);
            }
        } else if metadata.is_dir() {
            if depth > 0 {
                walk(root, &path, depth - 1, entries)?;
            }
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            anyhow::ensure!(entries.len() < MAX_FILES, "more than {MAX_FILES} files");
            entries.push(Entry {
                key: key(root, &path),
                stamp: Stamp::of(&metadata),
                path,
            });
        }
    }
    Ok(())
}

fn key(root: &Path, path: &Path) -> Result<Key, String> {
    parse(path.strip_prefix(root).unwrap_or(path)).map_err(|reason| {
        let form = "the place of a resource is resources/<namespace>/<kind>/<name>.yaml";
        format!("{reason}; {form}")
    })
}

fn parse(relative: &Path) -> Result<Key, String> {
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let [namespace, kind, file] = &parts[..] else {
        return Err("it is not in its place".into());
    };
    let known = ManifestKind::ALL
        .iter()
        .find(|known| known.names().plural == kind);
    let Some(kind) = known else {
        let plurals: Vec<_> = ManifestKind::ALL
            .iter()
            .map(|kind| kind.names().plural)
            .collect();
        return Err(format!("{kind:?} is none of {}", plurals.join(", ")));
    };
    let name = file
        .strip_suffix(".yaml")
        .or_else(|| file.strip_suffix(".yml"))
        .unwrap_or(file);
    check_namespace(namespace).map_err(|error| format!("namespace {namespace:?}: {error}"))?;
    check_subdomain(name).map_err(|error| format!("name {name:?}: {error}"))?;
    Ok(Key::new(*kind, namespace, name))
}
