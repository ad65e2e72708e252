use crate::{InvalidManifest, Metadata, metadata::null_as_default, names};
use mesh_profile::{Profile, ProfileSpec};
use mesh_yaml::{self as yaml, Section, Step};
use serde::{Deserialize, Serialize};

/// A ServiceProfile resource: what `mesh apply` reads and `mesh profile` writes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceProfileManifest {
    /// `linkerd.io/v1alpha2`, or the `v1alpha1` of old.
    pub api_version: String,
    /// `ServiceProfile`.
    pub kind: String,
    /// Its name is the service's full one, `books.booksapp.svc.cluster.local`.
    pub metadata: Metadata,
    /// The profile. May be empty and may not be absent: a file that was cut off would otherwise
    /// take all routes away.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: ProfileSpec,
}

impl ServiceProfileManifest {
    /// The version that is written.
    pub const API_VERSION: &'static str = "linkerd.io/v1alpha2";
    /// The versions that are read; they differ in nothing that matters.
    pub const API_VERSIONS: [&'static str; 2] = ["linkerd.io/v1alpha2", "linkerd.io/v1alpha1"];
    /// The kind.
    pub const KIND: &'static str = "ServiceProfile";

    /// The profile of `service` in `namespace`, whose full name ends in `svc.cluster_domain`.
    pub fn new(service: &str, namespace: &str, cluster_domain: &str, spec: ProfileSpec) -> Self {
        Self {
            api_version: Self::API_VERSION.to_owned(),
            kind: Self::KIND.to_owned(),
            metadata: Metadata {
                name: format!("{service}.{namespace}.svc.{cluster_domain}"),
                namespace: Some(namespace.to_owned()),
                ..Metadata::default()
            },
            spec,
        }
    }

    /// Reads and checks every document of `text`, which `source` names in errors.
    ///
    /// # Errors
    ///
    /// [`yaml::Error`] with the place of what is no YAML, no ServiceProfile or no valid one.
    pub fn read_all(text: &str, source: &str) -> Result<Vec<Self>, yaml::Error> {
        yaml::sections(text)
            .filter(|section| !section.is_empty())
            .map(|section| Self::read(&section, source))
            .collect()
    }

    /// Reads and checks one document, of a text which `source` names in errors.
    ///
    /// # Errors
    ///
    /// [`yaml::Error`] with the place of what is no YAML, no ServiceProfile or no valid one.
    pub fn read(section: &Section<'_>, source: &str) -> Result<Self, yaml::Error> {
        let manifest: Self = section.parse(source)?;
        manifest.check().map_err(|error| {
            let place = section.locate(&error.path());
            yaml::Error::new(source, place, error.to_string())
        })?;
        Ok(manifest)
    }

    /// Checks version, kind, names and profile.
    ///
    /// # Errors
    ///
    /// [`InvalidManifest`] says which of these is wrong.
    pub fn check(&self) -> Result<Profile, InvalidManifest> {
        let name = &*self.metadata.name;
        let invalid = |path: &[Step<'static>], reason: String| {
            InvalidManifest::field(Self::KIND, name, path, reason)
        };
        if self.kind != Self::KIND {
            let reason = format!("kind {:?} is not {:?}", self.kind, Self::KIND);
            return Err(invalid(&[Step::Member("kind")], reason));
        }
        if !Self::API_VERSIONS.contains(&&*self.api_version) {
            let reason = format!(
                "apiVersion {:?} is none of {}",
                self.api_version,
                Self::API_VERSIONS.join(", ")
            );
            return Err(invalid(&[Step::Member("apiVersion")], reason));
        }
        const NAME: &[Step<'static>] = &[Step::Member("metadata"), Step::Member("name")];
        names::check_subdomain(&self.metadata.name)
            .map_err(|error| invalid(NAME, format!("has invalid name: {error}")))?;
        if self.service().is_none() {
            let reason = "has invalid name: it must be the full name of a service, like \
                          books.booksapp.svc.cluster.local";
            return Err(invalid(NAME, reason.to_owned()));
        }
        if let Some(namespace) = &self.metadata.namespace {
            const NAMESPACE: &[Step<'static>] =
                &[Step::Member("metadata"), Step::Member("namespace")];
            names::check_namespace(namespace)
                .map_err(|error| invalid(NAMESPACE, format!("has invalid namespace: {error}")))?;
        }
        let profile = Profile::try_from(self.spec.clone());
        profile.map_err(|error| InvalidManifest::profile(Self::KIND, name, error))
    }

    /// The service that the name is of: its name, its namespace and the cluster's domain.
    pub fn service(&self) -> Option<(&str, &str, &str)> {
        let (service, rest) = self.metadata.name.split_once('.')?;
        let (namespace, rest) = rest.split_once('.')?;
        let domain = rest.strip_prefix("svc.")?;
        (!domain.is_empty()).then_some((service, namespace, domain))
    }

    /// Prints YAML in the form of Linkerd's command line.
    pub fn to_yaml(&self) -> String {
        yaml::to_string(self).expect("all keys of a manifest are strings")
    }

    /// Prints indented JSON, with a newline at the end.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("all keys of a manifest are strings");
        json + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
apiVersion: linkerd.io/v1alpha1
kind: ServiceProfile
metadata:
  creationTimestamp: null
  name: books.booksapp.svc.cluster.local
  namespace: booksapp
spec:
  routes:
  - condition:
      method: GET
      pathRegex: /books/[^/]*
    name: GET /books/{id}
    timeout: 300ms
";

    fn error(from: &str, to: &str) -> String {
        let text = MANIFEST.replace(from, to);
        assert_ne!(text, MANIFEST);
        ServiceProfileManifest::read_all(&text, "sp.yaml")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_manifest_is_read_checked_and_written() {
        let all = ServiceProfileManifest::read_all(MANIFEST, "sp.yaml").unwrap();
        assert_eq!(
            all[0].service(),
            Some(("books", "booksapp", "cluster.local"))
        );
        assert_eq!(
            all[0].to_yaml(),
            MANIFEST.replace("  creationTimestamp: null\n", "")
        );
    }

    #[test]
    fn conditions_are_nested_as_deep_as_yaml_allows_on_an_ordinary_stack() {
        let read = || {
            let conditions = |n| {
                let lines = (0..n).map(|i| format!("{}not:\n", "  ".repeat(2 + i)));
                let head = "routes:\n- name: a\n  condition:\n".to_owned();
                let last = format!("{}method: GET\n", "  ".repeat(2 + n));
                lines.fold(head, |text, line| text + &line) + &last
            };
            let most = yaml::MAX_DEPTH - 4;
            yaml::from_str::<ProfileSpec>(&conditions(most), "sp.yaml").unwrap();
            let error = yaml::from_str::<ProfileSpec>(&conditions(most + 1), "sp.yaml");
            let error = error.unwrap_err();
            assert!(error.message().contains("within each other"), "{error}");
        };
        // The default stack of a thread. Without optimisation a level takes 25 KB of it.
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn(read).unwrap().join().unwrap();
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (from, to, message) in [
            (
                "timeout: 300ms",
                "timeout: 300",
                r#"sp.yaml:13:14: ServiceProfile "books.booksapp.svc.cluster.local": route "GET /books/{id}" (number 1): timeout: invalid duration "300""#,
            ),
            (
                "[^/]*",
                "[^/*",
                r#"sp.yaml:11:18: ServiceProfile "books.booksapp.svc.cluster.local": route "GET /books/{id}" (number 1): condition.pathRegex: invalid regular expression"#,
            ),
            (
                "name: books.booksapp.svc.cluster.local",
                "name: books",
                r#"sp.yaml:5:9: ServiceProfile "books" has invalid name: it must be the full name"#,
            ),
            ("kind: ServiceProfile", "kind: Service", "sp.yaml:2:7: "),
            ("v1alpha1", "v1beta1", "sp.yaml:1:13: "),
            (
                "    timeout",
                "    timeuot",
                "sp.yaml:13:5: unknown field `timeuot`, did you mean `timeout`?",
            ),
            (
                "  namespace",
                "  namspace",
                "sp.yaml:6:3: unknown field `namspace`, did you mean `namespace`?",
            ),
        ] {
            let error = error(from, to);
            assert!(error.starts_with(message), "{error}");
        }
    }
}
