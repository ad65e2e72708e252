use crate::{Destination, Endpoint, Leaf, ProfileSpec, Publisher, Watch};
use mesh_profile::{ServiceProfileManifest, yaml};
use std::{
    error::Error,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{MissedTickBehavior, interval};

/// How often the manifest is looked at: one `stat` each time, on any file system.
const EVERY: Duration = Duration::from_millis(200);

/// One destination of fixed endpoints, whose routes may come from a ServiceProfile manifest.
///
/// For tests, and for programs that have no controller.
#[derive(Clone, Debug)]
pub struct FileSource {
    authority: Arc<str>,
    endpoints: Arc<[Endpoint]>,
    profile: Option<PathBuf>,
}

impl FileSource {
    /// The destination `authority`, at these addresses, without routes.
    pub fn new(
        authority: impl Into<Arc<str>>,
        endpoints: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        Self {
            authority: authority.into(),
            endpoints: endpoints.into_iter().map(Endpoint::new).collect(),
            profile: None,
        }
    }

    /// Takes routes and budget from the one ServiceProfile in the file `path`, whatever its
    /// name, and again whenever that file changes.
    #[must_use]
    pub fn with_profile(mut self, path: impl Into<PathBuf>) -> Self {
        self.profile = Some(path.into());
        self
    }

    /// Follows the file until the last clone of the watch is dropped.
    ///
    /// A change that is invalid is logged, and so is one that takes the file away; the last
    /// good profile stays. The leaf is the authority itself: overrides need a controller.
    ///
    /// # Errors
    ///
    /// If the profile cannot be read the first time.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, with a profile.
    pub fn watch(self) -> Result<Watch<Destination>, InvalidFile> {
        let Some(path) = &self.profile else {
            return Ok(Watch::fixed(self.destination(ProfileSpec::default())));
        };
        // Before the text: a change in between is read twice instead of never.
        let seen = stamp(path);
        let spec = read(path)?;
        let (publisher, watch) = Watch::channel();
        publisher.publish(self.destination(spec));
        tokio::spawn(async move {
            tokio::select! {
                () = self.follow(seen, &publisher) => {}
                () = publisher.closed() => {}
            }
        });
        Ok(watch)
    }

    async fn follow(&self, mut seen: Option<Stamp>, publisher: &Publisher<Destination>) {
        let Some(path) = &self.profile else { return };
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // An editor writes in pieces, so what counts is a state seen twice.
        let mut unsettled = false;
        loop {
            tick.tick().await;
            let now = stamp(path);
            if now != seen {
                seen = now;
                unsettled = true;
            } else if std::mem::take(&mut unsettled) {
                match read(path) {
                    Ok(spec) => drop(publisher.publish(self.destination(spec))),
                    Err(error) => {
                        tracing::error!("{error}; the last good profile stays in force");
                    }
                }
            }
        }
    }

    fn destination(&self, spec: ProfileSpec) -> Destination {
        let mut leaf = Leaf::new(self.authority.clone(), []);
        leaf.endpoints = self.endpoints.clone();
        Destination::named(self.authority.clone(), self.authority.clone())
            .with_profile(spec)
            .with_leaves([leaf])
    }
}

/// Inode changes are left out for the sake of other systems; time and length change with them.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<ProfileSpec, InvalidFile> {
    let name = path.to_string_lossy();
    let text = fs::read_to_string(path).map_err(|error| InvalidFile {
        name: name.clone().into_owned(),
        flaw: Flaw::Unreadable(Arc::new(error)),
    })?;
    let invalid = |error| InvalidFile {
        name: name.clone().into_owned(),
        flaw: Flaw::Invalid(error),
    };
    let mut all = ServiceProfileManifest::read_all(&text, &name).map_err(invalid)?;
    match (all.pop(), all.len()) {
        (Some(manifest), 0) => Ok(manifest.spec),
        (_, others) => {
            let found = if others == 0 { 0 } else { others + 1 };
            let message = format!("expected one ServiceProfile, found {found}");
            Err(invalid(yaml::Error::new(&name, None, message)))
        }
    }
}

/// A profile's file that cannot be used: why, and where in it.
#[derive(Clone, Debug)]
pub struct InvalidFile {
    name: String,
    flaw: Flaw,
}

#[derive(Clone, Debug)]
enum Flaw {
    Unreadable(Arc<io::Error>),
    Invalid(yaml::Error),
}

impl fmt::Display for InvalidFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flaw {
            Flaw::Unreadable(error) => write!(f, "cannot read {}: {error}", self.name),
            Flaw::Invalid(error) => error.fmt(f),
        }
    }
}

impl Error for InvalidFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.flaw {
            Flaw::Unreadable(error) => Some(&**error),
            Flaw::Invalid(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(route: &str) -> String {
        format!(
            "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  name: \
             a.b.svc.cluster.local\nspec:\n  routes:\n  - name: {route}\n    condition: {{method: \
             GET}}\n"
        )
    }

    fn source(path: &Path) -> FileSource {
        FileSource::new("a:80", [([127, 0, 0, 1], 8080).into()]).with_profile(path)
    }

    fn route(destination: &Destination) -> &str {
        &destination.profile.routes[0].name
    }

    #[tokio::test(start_paused = true)]
    async fn an_edit_is_followed_and_an_invalid_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, manifest("one")).unwrap();
        let mut watch = source(&path).watch().unwrap();
        let first = watch.ready().await.unwrap();
        assert_eq!(route(&first), "one");
        assert_eq!(first.leaves[0].endpoints.len(), 1);

        fs::write(&path, "nonsense: true").unwrap();
        tokio::time::sleep(5 * EVERY).await;
        assert_eq!(route(&watch.current().unwrap()), "one");
        fs::remove_file(&path).unwrap();
        tokio::time::sleep(5 * EVERY).await;
        fs::write(&path, manifest("three")).unwrap();
        assert_eq!(route(&watch.changed().await.unwrap()), "three");
    }

    #[tokio::test]
    async fn a_file_that_is_bad_from_the_start_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let error = source(&path).watch().unwrap_err();
        assert!(error.source().is_some());
        for (text, message) in [
            (
                manifest("x").replace("routes", "rotues"),
                "a.yaml:6:3: unknown field `rotues`",
            ),
            (
                String::new(),
                "a.yaml: expected one ServiceProfile, found 0",
            ),
            (format!("{0}---\n{0}", manifest("x")), "found 2"),
        ] {
            fs::write(&path, text).unwrap();
            let error = source(&path).watch().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn without_a_profile_nothing_is_followed() {
        let watch = FileSource::new("a:80", []).watch().unwrap();
        assert!(watch.current().unwrap().profile.routes.is_empty());
    }
}
