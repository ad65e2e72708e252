use crate::{Backend, Endpoint, Profile, ProfileSpec, RouteRule};
use mesh_manifest::{ServiceProfileManifest, Weight, yaml};
use serde::Deserialize;
use std::{error::Error, fmt, fs, io, net::SocketAddr, path::Path, sync::Arc};

/// A destination as people write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDestination {
    leaves: Vec<WrittenLeaf>,
    #[serde(default)]
    profile: ProfileSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLeaf {
    authority: String,
    weight: Option<Weight>,
    #[serde(default)]
    endpoints: Vec<SocketAddr>,
}

/// The profile, and the backends with their weights, in the file `path`.
pub(super) fn read_destination(path: &Path) -> Result<(Profile, Vec<(Backend, u32)>), InvalidFile> {
    let file = Opened::read(path)?;
    let written: WrittenDestination =
        yaml::from_str(&file.text, &file.name).map_err(InvalidFile::invalid)?;
    let leaves = written.leaves.into_iter().map(WrittenLeaf::backend);
    let leaves: Vec<_> = leaves.collect();
    let names = leaves
        .iter()
        .map(|(leaf, weight)| (leaf.name().clone(), *weight));
    if RouteRule::split(names).is_none() {
        return Err(file.flaw("no leaf has a weight above zero".to_owned()));
    }
    Ok((file.compile(written.profile), leaves))
}

impl WrittenLeaf {
    fn backend(self) -> (Backend, u32) {
        let mut addrs = self.endpoints;
        addrs.sort_unstable();
        addrs.dedup();
        // In thousandths, so that 900m and 100m are nine to one.
        let weight = self.weight.map_or(1_000, Weight::milli);
        let backend = Backend::new(self.authority, addrs.into_iter().map(Endpoint::new));
        (backend, u32::try_from(weight).unwrap_or(u32::MAX))
    }
}

/// The one ServiceProfile in the file `path`.
pub(super) fn read_profile(path: &Path) -> Result<Profile, InvalidFile> {
    let file = Opened::read(path)?;
    let mut all =
        ServiceProfileManifest::read_all(&file.text, &file.name).map_err(InvalidFile::invalid)?;
    match (all.pop(), all.len()) {
        (Some(manifest), 0) => Ok(file.compile(manifest.spec)),
        (_, others) => {
            let found = if others == 0 { 0 } else { others + 1 };
            Err(file.flaw(format!("expected one ServiceProfile, found {found}")))
        }
    }
}

struct Opened {
    name: String,
    text: String,
}

impl Opened {
    fn read(path: &Path) -> Result<Self, InvalidFile> {
        let name = path.to_string_lossy().into_owned();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(InvalidFile(Flaw::Unreadable(name, Arc::new(error)))),
        }
    }

    /// The parts of a profile that this crate understands; the rest is no reason to lose all.
    fn compile(&self, spec: ProfileSpec) -> Profile {
        let (profile, problems) = Profile::compile_lenient(spec);
        for problem in problems {
            tracing::warn!(file = self.name, %problem, "part of a profile is ignored");
        }
        profile
    }

    fn flaw(&self, message: String) -> InvalidFile {
        InvalidFile::invalid(yaml::Error::new(&self.name, None, message))
    }
}

/// A file that cannot be used: why, and where in it.
#[derive(Clone, Debug)]
pub struct InvalidFile(Flaw);

#[derive(Clone, Debug)]
enum Flaw {
    Unreadable(String, Arc<io::Error>),
    Invalid(yaml::Error),
}

impl InvalidFile {
    fn invalid(error: yaml::Error) -> Self {
        Self(Flaw::Invalid(error))
    }
}

impl fmt::Display for InvalidFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Flaw::Unreadable(name, error) => write!(f, "cannot read {name}: {error}"),
            Flaw::Invalid(error) => error.fmt(f),
        }
    }
}

impl Error for InvalidFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Flaw::Unreadable(_, error) => Some(&**error),
            Flaw::Invalid(_) => None,
        }
    }
}
