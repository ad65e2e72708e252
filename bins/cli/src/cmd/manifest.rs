//! Manifests, as commands check and name them.

use crate::output::Refusal;
use anyhow::Result;
use mesh_api::ManifestKind;
use mesh_controller::admit;

/// Checks every document of `text`, in the controller's words: an error has the file, the line and
/// the reason.
pub(crate) fn check(text: &str, source: &str) -> Result<()> {
    // Neither namespace nor domain changes what is valid.
    admit::read(text, source, "default", "cluster.local")?;
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
        ManifestKind::ServiceProfile => name.to_owned(),
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
