//! JSON files of the state folder that have no use after a restart of the machine.

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;

/// Replaces the file at `path` atomically with `value` as JSON.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value)?;
    mesh_local::atomic::write_unsynced(path, &text)
        .with_context(|| format!("writing {}", path.display()))
}
