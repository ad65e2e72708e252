mod read;

pub use self::read::InvalidFile;

use self::read::{read_destination, read_profile};
use crate::{Backend, Destination, Endpoint, Profile, Publisher, Watch};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{MissedTickBehavior, interval};

/// Polling interval: one `stat` per interval, which works on any file system.
const EVERY: Duration = Duration::from_millis(200);

/// One destination, from a file that is read again whenever it changes.
///
/// For tests, and for programs that have no controller. [`read`](Self::read) takes all of it from
/// a file; with [`new`](Self::new) its endpoints are fixed, and its routes may come from a
/// ServiceProfile manifest.
#[derive(Clone, Debug)]
pub struct FileSource {
    authority: Arc<str>,
    endpoints: Arc<[Endpoint]>,
    file: Option<File>,
}

#[derive(Clone, Debug)]
enum File {
    Profile(PathBuf),
    Destination(PathBuf),
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
            file: None,
        }
    }

    /// The destination `authority`, of which the file `path` says everything: YAML or JSON with
    /// the leaves, and, if it has routes, a profile as in the `spec` of a ServiceProfile.
    ///
    /// ```yaml
    /// leaves:
    /// - authority: books-v1:7002
    ///   weight: 9               # 1 if it is left out
    ///   endpoints: [10.0.0.1:7002, 10.0.0.2:7002]
    /// - authority: books-v2:7002
    ///   endpoints: [10.0.0.3:7002]
    /// profile:
    ///   routes:
    ///   - name: GET /books/{id}
    ///     condition: { method: GET, pathRegex: '/books/[^/]*' }
    ///     isRetryable: true
    /// ```
    pub fn read(authority: impl Into<Arc<str>>, path: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(File::Destination(path.into())),
            ..Self::new(authority, [])
        }
    }

    /// Takes routes and budget from the one ServiceProfile in the file `path`, whatever its
    /// name, and again whenever that file changes. The leaf is the authority itself.
    #[must_use]
    pub fn with_profile(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(File::Profile(path.into()));
        self
    }

    /// Follows the file until the last clone of the watch is dropped.
    ///
    /// A change that is invalid is logged, and so is one that takes the file away; the last
    /// good destination stays.
    ///
    /// # Errors
    ///
    /// If the file cannot be read the first time.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, with a file.
    pub fn watch(self) -> Result<Watch<Destination>, InvalidFile> {
        let Some(file) = self.file.clone() else {
            return Ok(Watch::fixed(self.at_its_endpoints(Profile::default())));
        };
        // Before the text: a change in between is read twice instead of never.
        let seen = stamp(file.path());
        let first = self.destination(&file)?;
        let (publisher, watch) = Watch::channel();
        publisher.publish(first);
        tokio::spawn(async move {
            tokio::select! {
                () = self.follow(&file, seen, &publisher) => {}
                () = publisher.closed() => {}
            }
        });
        Ok(watch)
    }

    async fn follow(&self, file: &File, mut seen: Option<Stamp>, to: &Publisher<Destination>) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // An editor writes in pieces, so what counts is a state seen twice.
        let mut unsettled = false;
        loop {
            tick.tick().await;
            let now = stamp(file.path());
            if now != seen {
                seen = now;
                unsettled = true;
            } else if std::mem::take(&mut unsettled) {
                match self.destination(file) {
                    Ok(destination) => drop(to.publish(destination)),
                    Err(error) => {
                        tracing::error!("{error}; the last good one stays in force");
                    }
                }
            }
        }
    }

    fn destination(&self, file: &File) -> Result<Destination, InvalidFile> {
        match file {
            File::Profile(path) => Ok(self.at_its_endpoints(read_profile(path)?)),
            File::Destination(path) => {
                let (profile, split) = read_destination(path)?;
                Ok(self.named().with_profile(profile).with_split(split))
            }
        }
    }

    fn at_its_endpoints(&self, profile: Profile) -> Destination {
        let backend = Backend::of(self.authority.clone(), self.endpoints.clone());
        self.named().with_profile(profile).with_backend(backend)
    }

    fn named(&self) -> Destination {
        Destination::named(self.authority.clone(), self.authority.clone())
    }
}

impl File {
    fn path(&self) -> &Path {
        match self {
            Self::Profile(path) | Self::Destination(path) => path,
        }
    }
}

/// Inode changes are left out for the sake of other systems; time and length change with them.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

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
        destination.routes().next().unwrap().name()
    }

    #[tokio::test(start_paused = true)]
    async fn an_edit_is_followed_and_an_invalid_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, manifest("one")).unwrap();
        let mut watch = source(&path).watch().unwrap();
        let first = watch.ready().await.unwrap();
        assert_eq!(route(&first), "one");
        assert_eq!(first.backends()[0].endpoints().len(), 1);

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
        assert!(watch.current().unwrap().routes().len() == 0);
    }

    const DESTINATION: &str = "\
leaves:
- { authority: 'v1:80', weight: 9, endpoints: ['10.0.0.2:80', '10.0.0.1:80'] }
- { authority: 'v2:80', weight: 900m, endpoints: ['[::1]:80'] }
- { authority: 'v3:80' }
profile:
  routes:
  - { name: one, condition: { method: GET } }
";

    #[tokio::test(start_paused = true)]
    async fn a_file_may_say_everything_and_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, DESTINATION).unwrap();
        let mut watch = FileSource::read("a:80", &path).watch().unwrap();
        let first = watch.ready().await.unwrap();
        assert_eq!((&**first.authority(), route(&first)), ("a:80", "one"));
        let backends = first.backends().iter().zip(first.rules()[0].shares());
        let leaves = backends.map(|(backend, share)| {
            let addrs = backend.endpoints().iter().map(|endpoint| endpoint.addr);
            let addrs: Vec<_> = addrs.map(|addr| addr.to_string()).collect();
            (&**backend.name(), share.weight(), addrs.join(" "))
        });
        let expected = [
            ("v1:80", 9_000, "10.0.0.1:80 10.0.0.2:80".to_owned()),
            ("v2:80", 900, "[::1]:80".to_owned()),
            ("v3:80", 1_000, String::new()),
        ];
        assert_eq!(leaves.collect::<Vec<_>>(), expected);

        fs::write(&path, DESTINATION.replace("weight: 9,", "weight: 0,")).unwrap();
        assert_eq!(
            watch.changed().await.unwrap().rules()[0].shares()[0].weight(),
            0
        );
        fs::write(&path, "leaves: []").unwrap();
        tokio::time::sleep(5 * EVERY).await;
        assert_eq!(watch.current().unwrap().backends().len(), 3);
        fs::write(
            &path,
            r#"{"leaves": [{"authority": "b", "endpoints": ["1.2.3.4:5"]}]}"#,
        )
        .unwrap();
        let last = watch.changed().await.unwrap();
        assert_eq!((last.backends().len(), last.routes().len()), (1, 0));
    }

    #[test]
    fn a_destination_that_cannot_be_used_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        for (from, to, message) in [
            ("leaves:", "leafs:", "a.yaml:1:1: unknown field `leafs`"),
            ("[::1]:80", "books:80", "a.yaml:3:"),
            ("900m", "-1", "a.yaml:3:"),
            ("routes:", "rotues:", "a.yaml:6:3: unknown field `rotues`"),
            ("weight: 9,", "wieght: 9,", "a.yaml:2:"),
        ] {
            fs::write(&path, DESTINATION.replace(from, to)).unwrap();
            let error = FileSource::read("a", &path).watch().unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
        for text in ["leaves: []", "leaves: [{ authority: a, weight: 0 }]"] {
            fs::write(&path, text).unwrap();
            let error = FileSource::read("a", &path).watch().unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("no leaf has a weight above zero"),
                "{error}"
            );
        }
    }
}
