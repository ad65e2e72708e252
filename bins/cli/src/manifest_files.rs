//! Manifests on disk: single files, and the YAML and JSON files of folders.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders in folders, as deep as anybody keeps manifests.
const MAX_DEPTH: usize = 8;

/// One manifest file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

/// Reads files, and the YAML files of folders, in the order of their names.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for path in paths {
        collect(path, 0, &mut manifests)?;
    }
    Ok(manifests)
}

fn collect(path: &Path, depth: usize, into: &mut Vec<Manifest>) -> Result<()> {
    let context = || format!("cannot read {}", path.display());
    if !path.is_dir() {
        into.push(Manifest {
            text: fs::read_to_string(path).with_context(context)?,
            file: path.to_owned(),
        });
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(context)?;
    let mut entries = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(context)?;
    entries.sort();
    for entry in entries {
        let is_yaml = entry
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|it| extension == *it));
        if entry.is_dir() || is_yaml {
            collect(&entry, depth + 1, into)?;
        }
    }
    Ok(())
}
