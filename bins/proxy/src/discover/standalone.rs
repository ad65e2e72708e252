//! The one destination of `mesh-proxy --listen --forward`.

use crate::{config::Standalone, discover::resolve};
use mesh_discover::{Backend, Destination, Endpoint, FileSource, Publisher, Watch};
use std::sync::Arc;

/// The destination, followed by a task on the current runtime; it has at most so many addresses of
/// each name.
///
/// # Errors
///
/// The profile cannot be read. Names that cannot be resolved yet are tried again.
pub(crate) async fn watch(
    standalone: Standalone,
    most: usize,
) -> anyhow::Result<Watch<Destination>> {
    let Standalone { forward, profile } = standalone;
    // Whatever its profile is called: there is only this one.
    let name: Arc<str> = forward[0].as_str().into();
    let source = FileSource::new(name.clone(), []);
    let source = match profile {
        Some(path) => source.with_profile(path),
        None => source,
    };
    let mut routes = source.watch()?;
    let (publisher, watch) = Watch::channel();
    let mut endpoints = resolve_all(&forward, most).await;
    publish(&publisher, &name, &routes, &endpoints);
    tokio::spawn(async move {
        while !publisher.is_closed() {
            let again = match endpoints.is_empty() {
                true => resolve::RETRY_INTERVAL,
                false => resolve::INTERVAL,
            };
            tokio::select! {
                Some(_) = routes.changed() => {}
                () = tokio::time::sleep(again) => {
                    let found = resolve_all(&forward, most).await;
                    // Addresses once known stay in use.
                    if !found.is_empty() {
                        endpoints = found;
                    }
                }
            }
            publish(&publisher, &name, &routes, &endpoints);
        }
    });
    Ok(watch)
}

fn publish(
    publisher: &Publisher<Destination>,
    name: &Arc<str>,
    routes: &Watch<Destination>,
    endpoints: &[Endpoint],
) {
    let profile = routes.current().map(|file| file.profile().clone());
    let backend = Backend::new(name.clone(), endpoints.iter().cloned());
    let destination = Destination::named(name.clone(), name.clone())
        .with_profile(profile.unwrap_or_default())
        .with_backend(backend);
    publisher.publish(destination);
}

async fn resolve_all(forward: &[String], most: usize) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for target in forward {
        match resolve::resolve(target, most).await {
            Ok(addrs) => endpoints.extend(addrs.into_iter().map(Endpoint::new)),
            Err(error) => tracing::warn!(target, %error, "cannot resolve"),
        }
    }
    endpoints
}
