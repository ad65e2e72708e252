use crate::cmd::{apply, manifest};
use anyhow::{Context, Result, bail};
use mesh_manifest::ServiceProfileManifest;
use mesh_profile::Profile;
use std::path::PathBuf;

/// The profile of `authority` in a file, a folder or standard input, and its name. If there is but
/// one, and nothing is asked for by name, it is that.
pub(super) fn profile(file: &PathBuf, authority: Option<&str>) -> Result<(String, Profile)> {
    let mut all = Vec::new();
    for source in apply::read(std::slice::from_ref(file))? {
        manifest::check(&source.text, &source.name)?;
        let found = ServiceProfileManifest::read_all(&source.text, &source.name)?;
        all.extend(
            found
                .into_iter()
                .map(|manifest| (source.name.clone(), manifest)),
        );
    }
    let (source, manifest) = choose(&all, authority).with_context(|| file.display().to_string())?;
    let profile = manifest.check().with_context(|| source.clone())?;
    Ok((manifest.metadata.name.clone(), profile))
}

fn choose<'a>(
    all: &'a [(String, ServiceProfileManifest)],
    authority: Option<&str>,
) -> Result<&'a (String, ServiceProfileManifest)> {
    let host = authority.map(|it| it.split(':').next().unwrap_or(it).trim_end_matches('.'));
    match (all, host) {
        ([], _) => bail!("the document holds no ServiceProfile"),
        ([one], None) => Ok(one),
        (many, None) => bail!(
            "the document holds {} ServiceProfiles; name the service, as in http://SERVICE:PORT/PATH",
            many.len()
        ),
        (some, Some(host)) => some
            .iter()
            .find(|(_, manifest)| {
                let rest = manifest.metadata.name.strip_prefix(host);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .with_context(|| {
                let names: Vec<_> = some.iter().map(|it| it.1.metadata.name.as_str()).collect();
                let names = names.join(", ");
                format!("the document holds no ServiceProfile of {host}, only of {names}")
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_profile::ProfileSpec;

    fn all(names: &[&str]) -> Vec<(String, ServiceProfileManifest)> {
        let manifest = |name: &&str| {
            let spec = ProfileSpec::default();
            let manifest = ServiceProfileManifest::new(name, "shop", "cluster.local", spec);
            ("a.yaml".to_owned(), manifest)
        };
        names.iter().map(manifest).collect()
    }

    #[test]
    fn the_profile_is_that_of_the_service_in_the_url() {
        let two = all(&["books", "books-v2"]);
        for host in [
            "books-v2",
            "books-v2:7002",
            "books-v2.shop:80",
            "books-v2.shop.svc.cluster.local.",
        ] {
            let (_, chosen) = choose(&two, Some(host)).unwrap();
            assert_eq!(chosen.metadata.name, "books-v2.shop.svc.cluster.local");
        }
        assert!(choose(&two, None).is_err());
        assert!(choose(&all(&[]), None).is_err());
        assert!(choose(&two[..1], None).is_ok());
        let error = choose(&two[..1], Some("authors:7001")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document holds no ServiceProfile of authors, only of books.shop.svc.cluster.local"
        );
    }
}
