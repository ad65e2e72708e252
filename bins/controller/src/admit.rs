//! Admission: reads and checks resources.
//!
//! Requests and files both pass through it, so that both are refused for the same reasons in the
//! same words.

use crate::resource::{Body, Key, Manifest, Rejection};
use mesh_api::{ManifestKind, UnknownKind};
use mesh_control::model::Resource;
use mesh_manifest::{
    Metadata, ServiceProfileManifest, TrafficSplitManifest,
    yaml::{self, Section, Step},
};
use serde::Deserialize;
use std::sync::Arc;

/// A resource that may be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The resource.
    pub resource: Manifest,
    /// Probable mistakes that are allowed.
    pub warnings: Vec<String>,
}

/// The first fields of every manifest.
#[derive(Deserialize)]
struct Header {
    kind: String,
}

/// Reads every document of `text`, YAML or JSON, which `source` names in errors.
///
/// Resources that name no namespace are put into `namespace`; `domain` is what full names of
/// services end in.
///
/// # Errors
///
/// The first flaw of any document refuses them all.
pub fn read(
    text: &str,
    source: &str,
    namespace: &str,
    domain: &str,
) -> Result<Vec<Admitted>, Rejection> {
    let mut all: Vec<Admitted> = Vec::new();
    for section in yaml::sections(text).filter(|section| !section.is_empty()) {
        let admitted = document(&section, source, namespace, domain)?;
        let key = &admitted.resource.key;
        if all.iter().any(|other| other.resource.key == *key) {
            let reason = format!("{key} of namespace {} is declared twice", key.namespace);
            let place = section.locate(&[Step::Member("metadata"), Step::Member("name")]);
            return Err(yaml::Error::new(source, place, reason).into());
        }
        all.push(admitted);
    }
    Ok(all)
}

fn document(
    section: &Section<'_>,
    source: &str,
    namespace: &str,
    domain: &str,
) -> Result<Admitted, Rejection> {
    let header: Header = section.parse(source)?;
    let known = ManifestKind::ALL
        .iter()
        .find(|kind| kind.names().kind == header.kind);
    let Some(kind) = known else {
        let reason = UnknownKind(header.kind).to_string();
        let place = section.locate(&[Step::Member("kind")]);
        return Err(yaml::Error::new(source, place, reason).into());
    };
    match kind {
        ManifestKind::Canary => canary(section, source, namespace),
        ManifestKind::ServiceProfile => service_profile(section, source, namespace, domain),
        ManifestKind::TrafficSplit => {
            let split = TrafficSplitManifest::read(section, source)?;
            let body = Body::TrafficSplit(Arc::new(split.spec));
            Ok(Admitted {
                resource: manifest(*kind, split.api_version, split.metadata, body, namespace),
                warnings: Vec::new(),
            })
        }
    }
}

/// A manifest that was found good, in `namespace` unless it names another.
fn manifest(
    kind: ManifestKind,
    api_version: String,
    metadata: Metadata,
    body: Body,
    namespace: &str,
) -> Manifest {
    let namespace = metadata.namespace.as_deref().unwrap_or(namespace);
    Manifest {
        key: Key::new(kind, namespace, &metadata.name),
        api_version,
        labels: metadata.labels,
        annotations: metadata.annotations,
        created: metadata.creation_timestamp,
        body,
    }
}

fn canary(section: &Section<'_>, source: &str, namespace: &str) -> Result<Admitted, Rejection> {
    let canary = mesh_manifest::read_canary(section, source)?;
    let mut warnings = Vec::new();
    if canary.spec.autoscaler_ref.is_some() {
        warnings
            .push("autoscalerRef is ignored: nothing scales by itself on one machine".to_owned());
    }
    let metadata = Metadata {
        name: canary.metadata.name,
        namespace: canary.metadata.namespace,
        labels: canary.metadata.labels,
        annotations: canary.metadata.annotations,
        creation_timestamp: None,
    };
    let kind = ManifestKind::Canary;
    let body = Body::Canary(Arc::new(canary.spec));
    let resource = manifest(kind, canary.api_version, metadata, body, namespace);
    if let Resource::Canary(canary) = Resource::from(resource.clone())
        && let Err(reason) = crate::canary::plan(&canary)
    {
        let place = section.locate(&[Step::Member("spec")]);
        return Err(yaml::Error::new(source, place, reason).into());
    }
    Ok(Admitted { resource, warnings })
}

fn service_profile(
    section: &Section<'_>,
    source: &str,
    namespace: &str,
    domain: &str,
) -> Result<Admitted, Rejection> {
    let profile = ServiceProfileManifest::read(section, source)?;
    let mut warnings = Vec::new();
    if let Some((_, _, other)) = profile.service().filter(|(.., named)| *named != domain) {
        warnings.push(format!(
            "names of this mesh end in svc.{domain}, so a profile under svc.{other} never applies"
        ));
    }
    if let Ok(compiled) = profile.check() {
        warnings.extend(compiled.lint().iter().map(ToString::to_string));
    }
    let body = Body::ServiceProfile(Arc::new(profile.spec));
    Ok(Admitted {
        resource: manifest(
            ManifestKind::ServiceProfile,
            profile.api_version,
            profile.metadata,
            body,
            namespace,
        ),
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  name: web.shop.svc.cluster.local
spec:
  routes:
  - name: GET /
    condition: {method: GET, pathRegex: /}
    timeout: 25ms
  retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}
";

    fn read(text: &str) -> Result<Vec<Admitted>, Rejection> {
        super::read(text, "a.yaml", "shop", "cluster.local")
    }

    #[test]
    fn every_document_of_a_text_is_read_with_the_default_namespace() {
        let two = format!(
            "{GOOD}---\n# nothing\n---\n{}",
            GOOD.replace("name: web", "namespace: other\n  name: web")
        );
        let keys: Vec<_> = read(&two)
            .unwrap()
            .into_iter()
            .map(|admitted| admitted.resource.key.namespace)
            .collect();
        assert_eq!(keys, ["shop".into(), "other".into()]);
    }

    #[test]
    fn what_is_kept_reads_back_the_same_as_yaml_and_as_json() {
        let all = read(GOOD).unwrap();
        assert_eq!(read(&all[0].resource.to_yaml()).unwrap(), all);
        assert_eq!(read(&all[0].resource.to_json().to_string()).unwrap(), all);
    }

    #[test]
    fn a_flaw_is_named_with_its_place() {
        for (from, to, message) in [
            (
                "timeout",
                "timeot",
                "a.yaml:9:5: unknown field `timeot`, did you mean `timeout`?",
            ),
            (
                "timeout: 25ms",
                "timeout: 25",
                "a.yaml:9:14: ServiceProfile",
            ),
            (
                "25ms\n",
                "25ms\n    timeout: 1s\n",
                "a.yaml:10:5: duplicate key `timeout`",
            ),
            ("pathRegex: /", "pathRegex: /(", "route \"GET /\""),
            ("ttl: 10s", "ttl: 10m", "retryBudget"),
            (
                "ServiceProfile",
                "Ingress",
                "a.yaml:2:7: unknown kind \"Ingress\"; known are",
            ),
            ("name: web", "name: ../web", "a.yaml:4:9: "),
            ("kind", "# kind", "missing field `kind`"),
        ] {
            let text = GOOD.replace(from, to);
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn one_flaw_refuses_the_whole_text() {
        let error = read(&format!("{GOOD}---\nkind: Nothing\n")).unwrap_err();
        assert_eq!(error.line, Some(12));
        let error = read(&format!("{GOOD}---\n{GOOD}")).unwrap_err();
        assert!(error.reason.ends_with("declared twice"), "{error}");
    }

    #[test]
    fn what_is_hardly_meant_is_said() {
        let text = GOOD.replace("cluster.local", "example.org");
        let warnings = &read(&text).unwrap()[0].warnings;
        assert!(warnings[0].contains("never applies"), "{warnings:?}");
    }
}
