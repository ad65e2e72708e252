use crate::{InvalidManifest, Metadata, Weight, names};
use mesh_yaml::{self as yaml, Section, Step};
use serde::{Deserialize, Serialize, Serializer, de::IgnoredAny};

/// The most backends of a TrafficSplit: as many as a sidecar follows.
pub const MAX_BACKENDS: usize = 128;

/// The largest weight of a backend.
pub const MAX_WEIGHT: u64 = 1_000_000_000;

/// A TrafficSplit resource of the Service Mesh Interface.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficSplitManifest {
    /// `split.smi-spec.io/v1alpha1` to `v1alpha4`.
    pub api_version: String,
    /// `TrafficSplit`.
    pub kind: String,
    /// Its namespace is that of the services.
    pub metadata: Metadata,
    /// The apex and the backends.
    pub spec: TrafficSplitSpec,
    /// Conditions that a controller wrote; read and dropped.
    #[serde(default, skip_serializing)]
    status: Dropped,
}

/// A value that is read and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped;

impl<'de> Deserialize<'de> for Dropped {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The apex of a split, and the services that share its requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficSplitSpec {
    /// The apex: the service that clients call.
    pub service: String,
    /// The leaves: services of the same namespace. The apex may be one of them.
    pub backends: Vec<SplitBackend>,
    /// References to HTTPRouteGroups, in v1alpha3 and v1alpha4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteGroupReference>,
}

/// A leaf of a split.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SplitBackend {
    /// The service.
    pub service: String,
    /// Its share, relative to the sum of all weights.
    #[serde(serialize_with = "plain_number")]
    pub weight: Weight,
}

/// A reference to a resource that says which requests are split.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteGroupReference {
    /// `HTTPRouteGroup`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its API group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
}

impl TrafficSplitManifest {
    /// The versions that are read. The first takes quantities as weights, the others whole numbers.
    pub const API_VERSIONS: [&'static str; 4] = [
        "split.smi-spec.io/v1alpha1",
        "split.smi-spec.io/v1alpha2",
        "split.smi-spec.io/v1alpha3",
        "split.smi-spec.io/v1alpha4",
    ];
    /// The kind.
    pub const KIND: &'static str = "TrafficSplit";

    /// The split `name` of a namespace, in the version `v1alpha2`, or in `v1alpha1` if a weight is
    /// not a whole number.
    pub fn new(name: &str, namespace: &str, spec: TrafficSplitSpec) -> Self {
        let is_whole = spec.backends.iter().all(|it| is_whole(it.weight));
        Self {
            api_version: Self::API_VERSIONS[usize::from(is_whole)].to_owned(),
            kind: Self::KIND.to_owned(),
            metadata: Metadata {
                name: name.to_owned(),
                namespace: Some(namespace.to_owned()),
                ..Metadata::default()
            },
            spec,
            status: Dropped,
        }
    }

    /// Reads and checks one document, of a text which `source` names in errors.
    ///
    /// # Errors
    ///
    /// [`yaml::Error`] with the place of what is no YAML, no TrafficSplit or no valid one.
    pub fn read(section: &Section<'_>, source: &str) -> Result<Self, yaml::Error> {
        let manifest: Self = section.parse(source)?;
        manifest.check().map_err(|error| {
            let place = section.locate(&error.path());
            yaml::Error::new(source, place, error.to_string())
        })?;
        Ok(manifest)
    }

    /// Checks version, kind, names and weights.
    ///
    /// # Errors
    ///
    /// [`InvalidManifest`] says which of these is wrong.
    pub fn check(&self) -> Result<(), InvalidManifest> {
        use Step::Member;
        let invalid = |path: &[Step<'static>], reason: String| {
            InvalidManifest::field(Self::KIND, &self.metadata.name, path, reason)
        };
        if self.kind != Self::KIND {
            let reason = format!("kind {:?} is not {:?}", self.kind, Self::KIND);
            return Err(invalid(&[Member("kind")], reason));
        }
        if !Self::API_VERSIONS.contains(&&*self.api_version) {
            let known = Self::API_VERSIONS.join(", ");
            let reason = format!("apiVersion {:?} is none of {known}", self.api_version);
            return Err(invalid(&[Member("apiVersion")], reason));
        }
        names::check_subdomain(&self.metadata.name).map_err(|error| {
            let path = [Member("metadata"), Member("name")];
            invalid(&path, format!("has invalid name: {error}"))
        })?;
        if let Some(namespace) = &self.metadata.namespace {
            names::check_namespace(namespace).map_err(|error| {
                let path = [Member("metadata"), Member("namespace")];
                invalid(&path, format!("has invalid namespace: {error}"))
            })?;
        }
        self.check_spec()
            .map_err(|(path, reason)| invalid(&path, reason))
    }

    fn check_spec(&self) -> Result<(), (Vec<Step<'static>>, String)> {
        use Step::{Item, Member};
        let spec = Member("spec");
        let TrafficSplitSpec {
            service,
            backends,
            matches,
        } = &self.spec;
        names::check_service(service).map_err(|error| {
            let reason = format!("the service {service:?} has an invalid name: {error}");
            (vec![spec, Member("service")], reason)
        })?;
        if !matches.is_empty() {
            let reason = "matches by HTTPRouteGroup are not supported: split all requests of the \
                          service, or none";
            return Err((vec![spec, Member("matches")], reason.to_owned()));
        }
        let list = || vec![spec, Member("backends")];
        if backends.len() > MAX_BACKENDS {
            let reason = format!(
                "{} backends; at most {MAX_BACKENDS} are allowed",
                backends.len()
            );
            return Err((list(), reason));
        }
        for (index, backend) in backends.iter().enumerate() {
            let SplitBackend { service, weight } = backend;
            let at = |member| vec![spec, Member("backends"), Item(index), Member(member)];
            names::check_service(service).map_err(|error| {
                let reason = format!("the backend {service:?} has an invalid name: {error}");
                (at("service"), reason)
            })?;
            if backends[..index].iter().any(|it| it.service == *service) {
                let reason = format!("the backend {service:?} is named twice");
                return Err((at("service"), reason));
            }
            if weight.milli() > MAX_WEIGHT * 1000 {
                let reason = format!(
                    "the weight of {service:?} is {weight}; at most {MAX_WEIGHT} is allowed"
                );
                return Err((at("weight"), reason));
            }
            if self.api_version != Self::API_VERSIONS[0] && !is_whole(*weight) {
                let reason = format!(
                    "the weight of {service:?} is {weight}; {} takes whole numbers, and {} \
                     quantities like 900m",
                    self.api_version,
                    Self::API_VERSIONS[0]
                );
                return Err((at("weight"), reason));
            }
        }
        if backends.iter().all(|backend| backend.weight.milli() == 0) {
            let reason = "no backend has a weight above 0, so no service would get any request; \
                          delete the TrafficSplit to send all requests to its service";
            return Err((list(), reason.to_owned()));
        }
        Ok(())
    }

    /// Prints YAML.
    pub fn to_yaml(&self) -> String {
        yaml::to_string(self).expect("all keys of a manifest are strings")
    }
}

fn is_whole(weight: Weight) -> bool {
    weight.milli().is_multiple_of(1000)
}

/// Writes a whole weight as a number, as v1alpha2 and later versions have it.
fn plain_number<S: Serializer>(weight: &Weight, serializer: S) -> Result<S::Ok, S::Error> {
    match is_whole(*weight) {
        true => serializer.serialize_u64(weight.milli() / 1000),
        false => serializer.collect_str(weight),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPLIT: &str = "\
apiVersion: split.smi-spec.io/v1alpha1
kind: TrafficSplit
metadata:
  name: error-split
  namespace: booksapp
spec:
  backends:
  - service: books
    weight: 900m
  - service: error-injector
    weight: 100m
  service: books
";

    fn read(text: &str) -> Result<TrafficSplitManifest, String> {
        let section = yaml::sections(text).next().unwrap();
        TrafficSplitManifest::read(&section, "ts.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn the_split_of_the_workshop_is_read_and_written() {
        let split = read(SPLIT).unwrap();
        assert_eq!(split.spec.backends[1].weight, Weight::from_milli(100));
        assert_eq!(split.to_yaml(), SPLIT);
    }

    #[test]
    fn every_version_is_read_with_the_weights_that_it_has() {
        for version in ["v1alpha2", "v1alpha3", "v1alpha4"] {
            let text = SPLIT
                .replace("v1alpha1", version)
                .replace("900m", "90")
                .replace("100m", "10");
            let split = read(&text).unwrap();
            assert_eq!(split.spec.backends[0].weight, Weight::from_milli(90_000));
            assert_eq!(split.to_yaml(), text);
        }
        let written_by_a_server = SPLIT.replace("  name:", "  creationTimestamp: null\n  name:")
            + "status:\n  conditions: []\n";
        assert_eq!(read(&written_by_a_server), read(SPLIT));
    }

    #[test]
    fn a_new_split_has_the_version_that_its_weights_need() {
        let spec = |weight| TrafficSplitSpec {
            service: "books".into(),
            backends: vec![SplitBackend {
                service: "books-v2".into(),
                weight: Weight::from_milli(weight),
            }],
            ..TrafficSplitSpec::default()
        };
        for (weight, version) in [(5_000, "v1alpha2"), (500, "v1alpha1")] {
            let split = TrafficSplitManifest::new("books", "shop", spec(weight));
            assert!(split.api_version.ends_with(version));
            assert_eq!(read(&split.to_yaml()), Ok(split));
        }
    }

    #[test]
    fn a_flaw_is_named_with_its_place_and_the_reason() {
        for (from, to, message) in [
            ("900m", "-1", "ts.yaml:9:13: invalid weight \"-1\""),
            ("900m", "1e18", "ts.yaml:9:13: invalid weight"),
            (
                "900m",
                "1e12",
                "ts.yaml:9:13: TrafficSplit \"error-split\": the weight of \"books\"",
            ),
            ("900m", "much", "ts.yaml:9:13: invalid weight \"much\""),
            ("v1alpha1", "v1alpha2", "v1alpha2 takes whole numbers"),
            ("v1alpha1", "v1", "ts.yaml:1:13: "),
            (
                "error-injector",
                "books",
                "ts.yaml:10:14: TrafficSplit \"error-split\": the backend \"books\" is named twice",
            ),
            (
                "error-injector",
                "error.shop",
                "the backend \"error.shop\" has an invalid name",
            ),
            (
                "  service: books\n",
                "  service: ''\n",
                "the service \"\" has an invalid name",
            ),
            (
                "  backends",
                "  matches: [{kind: HTTPRouteGroup, name: a}]\n  backends",
                "not supported",
            ),
            ("    weight: 900m\n", "", "missing field `weight`"),
            ("weight: 900m", "wight: 900m", "unknown field `wight`"),
        ] {
            let text = SPLIT.replace(from, to);
            assert_ne!(text, SPLIT);
            let error = read(&text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        let zero = SPLIT.replace("900m", "0").replace("100m", "0");
        let error = read(&zero).unwrap_err();
        assert!(error.starts_with("ts.yaml:8:5: "), "{error}");
        assert!(error.contains("no backend has a weight above 0"), "{error}");
        let empty = SPLIT.split("  backends").next().unwrap().to_owned();
        let empty = empty + "  service: books\n  backends: []\n";
        assert!(
            read(&empty)
                .unwrap_err()
                .contains("no backend has a weight")
        );
        let many: String = (0..129)
            .map(|number| format!("  - {{service: s{number}, weight: 1}}\n"))
            .collect();
        assert!(
            read(&SPLIT.replace("  service: books\n", &format!("{many}  service: books\n")))
                .unwrap_err()
                .contains("at most 128")
        );
    }
}
