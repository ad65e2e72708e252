//! The one destination of `mesh-proxy --listen --forward`.

use crate::{config::Standalone, resolve};
use anyhow::{Context as _, bail};
use mesh_discover::{Destination, Endpoint, Leaf, Publisher, Watch};
use mesh_profile::{ProfileSpec, ServiceProfileManifest};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How often the profile's file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The destination, followed by tasks on the current runtime.
///
/// # Errors
///
/// The profile cannot be read. Names that cannot be resolved yet are tried again.
pub(crate) async fn watch(standalone: Standalone) -> anyhow::Result<Watch<Destination>> {
    let Standalone { forward, profile } = standalone;
    let spec = match &profile {
        Some(path) => read(path)?,
        None => ProfileSpec::default(),
    };
    let (publisher, watch) = Watch::channel();
    let mut state = State {
        name: forward[0].as_str().into(),
        spec: Arc::new(spec),
        endpoints: resolve_all(&forward).await,
        publisher,
    };
    state.publish();
    tokio::spawn(async move {
        let mut file = profile.map(File::new);
        let mut looks = 0;
        while !state.publisher.is_closed() {
            tokio::time::sleep(LOOK).await;
            looks += 1;
            let again = match state.endpoints.is_empty() {
                true => resolve::AFTER_FAILURE,
                false => resolve::AGAIN,
            };
            if LOOK * looks >= again {
                looks = 0;
                let endpoints = resolve_all(&forward).await;
                // Addresses once known stay in use.
                if !endpoints.is_empty() {
                    state.endpoints = endpoints;
                }
            }
            if let Some(spec) = file.as_mut().and_then(File::changed) {
                state.spec = Arc::new(spec);
            }
            state.publish();
        }
    });
    Ok(watch)
}

struct State {
    name: Arc<str>,
    spec: Arc<ProfileSpec>,
    endpoints: Vec<Endpoint>,
    publisher: Publisher<Destination>,
}

impl State {
    fn publish(&mut self) {
        let leaf = Leaf::new(self.name.clone(), self.endpoints.iter().cloned());
        let destination = Destination::named(self.name.clone(), self.name.clone())
            .with_profile(self.spec.clone())
            .with_leaves([leaf]);
        self.publisher.publish(destination);
    }
}

async fn resolve_all(forward: &[String]) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for target in forward {
        match resolve::resolve(target).await {
            Ok(addrs) => endpoints.extend(addrs.into_iter().map(Endpoint::new)),
            Err(error) => tracing::warn!(target, %error, "cannot resolve"),
        }
    }
    endpoints
}

fn read(path: &Path) -> anyhow::Result<ProfileSpec> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let mut manifests = ServiceProfileManifest::read_all(&text, &shown.to_string())?;
    if manifests.len() != 1 {
        bail!(
            "{shown}: expected one ServiceProfile, found {}",
            manifests.len()
        );
    }
    let manifest = manifests.remove(0);
    manifest.check().with_context(|| shown.to_string())?;
    Ok(manifest.spec)
}

/// A file that somebody may edit.
struct File {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// Time alone may be too coarse for two changes in a row.
type Stamp = (SystemTime, u64);

impl File {
    fn new(path: PathBuf) -> Self {
        let seen = stamp(&path);
        Self { path, seen }
    }

    /// The new profile, if there is one and it is valid.
    fn changed(&mut self) -> Option<ProfileSpec> {
        let stamp = stamp(&self.path);
        if stamp.is_none() || stamp == self.seen {
            return None;
        }
        self.seen = stamp;
        match read(&self.path) {
            Ok(spec) => Some(spec),
            Err(error) => {
                tracing::error!("{error:#}; the last good profile stays in force");
                None
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
