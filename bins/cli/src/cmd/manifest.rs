//! Manifests, as commands check and name them.

use crate::output::Refusal;
use anyhow::Result;
use mesh_api::{ManifestKind, UnknownKind};
use mesh_manifest::{
    ServiceProfileManifest, TrafficSplitManifest, read_canary,
    yaml::{self, Step},
};
use serde::Deserialize;
use std::fmt;

/// Checks every document of `text`: an error has the file, the line and the reason.
pub(crate) fn check(text: &str, source: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Header {
        kind: String,
    }
    for section in yaml::sections(text).filter(|section| !section.is_empty()) {
        let Header { kind } = section.parse(source)?;
        let mut kinds = ManifestKind::ALL.iter();
        match kinds.find(|known| known.names().kind == kind) {
            Some(ManifestKind::Canary) => {
                read_canary(&section, source)?;
            }
            Some(ManifestKind::ServiceProfile) => {
                ServiceProfileManifest::read(&section, source)?;
            }
            Some(ManifestKind::TrafficSplit) => {
                TrafficSplitManifest::read(&section, source)?;
            }
            None => {
                let place = section.locate(&[Step::Member("kind")]);
                let reason = UnknownKind(kind).to_string();
                return Err(yaml::Error::new(source, place, reason).into());
            }
        }
    }
    Ok(())
}

/// A resource as arguments name it: `sp/books`, or `sp books`.
///
/// ServiceProfiles are named by the full name of their service; its first part will do.
pub(crate) fn name(kind: ManifestKind, name: &str, namespace: &str) -> String {
    match kind {
        ManifestKind::ServiceProfile if !name.contains('.') => {
            format!("{name}.{namespace}.svc.cluster.local")
        }
        _ => name.to_owned(),
    }
}

/// A resource of the mesh, as the API has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) kind: ManifestKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.qualify(&self.name))
    }
}

/// Splits `KIND/NAME`.
pub(crate) fn kind_and_name<'a>(resource: &'a str, usage: &str) -> Result<(ManifestKind, &'a str)> {
    match resource.split_once('/') {
        Some((kind, name)) if !name.is_empty() => Ok((ManifestKind::parse(kind)?, name)),
        _ => Err(Refusal::Usage(format!(
            "`{resource}` is no resource; name it as KIND/NAME, as in {usage}"
        ))
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        check(text, "sp.yaml").unwrap_err().to_string()
    }

    const GOOD: &str = "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
        name: books.shop.svc.cluster.local\n  namespace: shop\nspec:\n  routes:\n  - name: a\n    \
        condition:\n      pathRegex: /a\n";

    #[test]
    fn a_good_manifest_passes_and_a_bad_one_has_its_place() {
        check(GOOD, "sp.yaml").unwrap();
        check("", "sp.yaml").unwrap();
        let bad = GOOD.replace("pathRegex: /a", "pathRegex: /a(");
        let bad = error(&format!("{GOOD}---\n{bad}"));
        assert!(bad.starts_with("sp.yaml:21:"), "{bad}");
        let bad = error(&GOOD.replace("condition", "conditon"));
        assert!(bad.contains("did you mean `condition`?"), "{bad}");
        let bad = error(&GOOD[..GOOD.find("spec:").unwrap()]);
        assert!(bad.ends_with("missing field `spec`"), "{bad}");
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let bad = error("kind: Deployment\n");
        assert!(
            bad.starts_with("sp.yaml:1:") && bad.contains("unknown kind"),
            "{bad}"
        );
        assert!(error("a: b\n").contains("kind"));
    }
}
