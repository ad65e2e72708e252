use mesh_profile::InvalidProfile;
use mesh_yaml::Step;
use std::fmt;

/// A resource that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidManifest {
    kind: &'static str,
    name: String,
    flaw: Flaw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    Field(Vec<Step<'static>>, String),
    Profile(InvalidProfile),
}

impl InvalidManifest {
    /// The value at `path` in the resource `name` is invalid.
    pub(crate) fn field(
        kind: &'static str,
        name: &str,
        path: impl Into<Vec<Step<'static>>>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            name: name.into(),
            flaw: Flaw::Field(path.into(), reason.into()),
        }
    }

    /// The spec of a ServiceProfile is invalid.
    pub(crate) fn profile(kind: &'static str, name: &str, flaw: InvalidProfile) -> Self {
        Self {
            kind,
            name: name.into(),
            flaw: Flaw::Profile(flaw),
        }
    }

    /// The way from the resource to the field.
    pub fn path(&self) -> Vec<Step<'static>> {
        match &self.flaw {
            Flaw::Field(path, _) => path.clone(),
            Flaw::Profile(error) => {
                let mut path = vec![Step::Member("spec")];
                path.extend(error.path().into_iter().map(|step| match step {
                    mesh_profile::Step::Member(name) => Step::Member(name),
                    mesh_profile::Step::Item(index) => Step::Item(index),
                }));
                path
            }
        }
    }
}

impl fmt::Display for InvalidManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name)?;
        match &self.flaw {
            Flaw::Field(_, reason) if reason.starts_with("has") => write!(f, " {reason}"),
            Flaw::Field(_, reason) => write!(f, ": {reason}"),
            Flaw::Profile(error) => write!(f, ": {error}"),
        }
    }
}

impl std::error::Error for InvalidManifest {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.flaw {
            Flaw::Field(..) => None,
            Flaw::Profile(error) => Some(error),
        }
    }
}
