//! The files of `manifests`, applied when they have changed and not otherwise: what was applied
//! or edited since then wins over a file that is as it was.

use super::json;
use crate::{
    client::Client,
    cmd::apply::{self, Source},
    manifest_files::Manifest,
};
use anyhow::Result;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Which content was last applied from which file: `run/applied.json`.
#[derive(Debug)]
pub(crate) struct Applied {
    path: PathBuf,
    hashes: BTreeMap<PathBuf, String>,
}

impl Applied {
    pub(crate) fn read(run_dir: &Path) -> Self {
        let path = run_dir.join("applied.json");
        let hashes = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            path,
            hashes: hashes.unwrap_or_default(),
        }
    }

    /// Those of `manifests` whose content is not what was last applied from their file.
    pub(crate) fn changed<'a>(&self, manifests: &'a [Manifest]) -> Vec<&'a Manifest> {
        manifests
            .iter()
            .filter(|manifest| self.hashes.get(&manifest.file) != Some(&hash(&manifest.text)))
            .collect()
    }

    /// Remembers that `manifests` were applied.
    pub(crate) fn remember(&mut self, manifests: &[&Manifest]) -> Result<()> {
        for manifest in manifests {
            self.hashes
                .insert(manifest.file.clone(), hash(&manifest.text));
        }
        json::write(&self.path, &self.hashes)
    }
}

/// Applies what has changed; returns how many files that were.
pub(crate) async fn apply(
    manifests: &[Manifest],
    run_dir: &Path,
    namespace: &str,
    controller: &Client,
) -> Result<usize> {
    let mut applied = Applied::read(run_dir);
    let changed = applied.changed(manifests);
    let sources = changed.iter().map(|manifest| Source {
        name: manifest.file.display().to_string(),
        text: manifest.text.clone(),
    });
    let sources: Vec<_> = sources.collect();
    if !sources.is_empty() {
        apply::send(controller, namespace, &sources).await?;
        applied.remember(&changed)?;
    }
    Ok(changed.len())
}

/// FNV-1a with 64 bits, and the length: enough to see that somebody edited a file.
fn hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}-{}", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest_files::read;

    #[test]
    fn a_file_is_applied_again_only_when_its_content_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = dir.path().join("profiles");
        fs::create_dir(&profiles).unwrap();
        fs::write(profiles.join("b.yaml"), "b").unwrap();
        fs::write(profiles.join("a.yml"), "a").unwrap();
        fs::write(profiles.join("notes.txt"), "no").unwrap();
        let manifests = read(std::slice::from_ref(&profiles)).unwrap();
        let names: Vec<_> = manifests.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(names, ["a", "b"]);

        let mut applied = Applied::read(dir.path());
        let changed = applied.changed(&manifests);
        assert_eq!(changed.len(), 2);
        applied.remember(&changed).unwrap();

        fs::write(profiles.join("b.yaml"), "b2").unwrap();
        let manifests = read(&[profiles]).unwrap();
        let changed = Applied::read(dir.path());
        let changed = changed.changed(&manifests);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].text, "b2");
    }
}
