use mesh_canary::{Plan, spec::Canary};
use mesh_yaml::{self as yaml, Section, Step};

/// Reads and checks a Canary resource: one document of a text which `source` names in errors.
///
/// # Errors
///
/// [`yaml::Error`] with the place of what is no YAML, no Canary or no valid one.
pub fn read_canary(section: &Section<'_>, source: &str) -> Result<Canary, yaml::Error> {
    let canary: Canary = section.parse(source)?;
    match Plan::try_from(&canary) {
        Ok(_) => Ok(canary),
        Err(error) => {
            // The section has another name in v1alpha3; of a name that is not there, the place is
            // that of the value around it.
            let old = error
                .field()
                .replace("spec.analysis", "spec.canaryAnalysis");
            let place = [error.field(), &old].map(|field| section.locate(&steps(field)));
            let place = place.into_iter().max().flatten();
            let text = format!("Canary {:?}: {error}", canary.metadata.name);
            Err(yaml::Error::new(source, place, text))
        }
    }
}

/// Returns the way to a field such as `spec.analysis.metrics[0].name`.
fn steps(field: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in field.split('.') {
        let mut parts = part.split('[');
        steps.extend(parts.next().map(Step::Member));
        let indices = parts.filter_map(|index| index.strip_suffix(']')?.parse().ok());
        steps.extend(indices.map(Step::Item));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "\
apiVersion: flagger.app/v1alpha3
kind: Canary
metadata:
  name: podinfo
  namespace: test
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  service: {port: 9898}
  canaryAnalysis:
    interval: 10s
    threshold: 5
    stepWeight: 5
    maxWeight: 50
    metrics:
    - name: request-success-rate
      threshold: 99
      interval: 1m
";

    fn read(text: &str) -> Result<Canary, String> {
        let section = yaml::sections(text).next().unwrap();
        read_canary(&section, "c.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn both_api_versions_are_read_with_either_name_of_the_analysis() {
        let old = read(CANARY).unwrap();
        let new = CANARY
            .replace("v1alpha3", "v1beta1")
            .replace("canaryAnalysis", "analysis");
        assert_eq!(read(&new).unwrap().spec, old.spec);
        assert_eq!(old.spec.analysis.unwrap().step_weight, Some(5));
    }

    #[test]
    fn a_flaw_is_named_with_its_place() {
        for (from, to, message) in [
            (
                "stepWeight: 5",
                "stepWeight: 0",
                "c.yaml:12:17: Canary \"podinfo\": spec.analysis.stepWeight: ",
            ),
            (
                "name: podinfo}",
                "name: ''}",
                "spec.targetRef.name: must name",
            ),
            (
                "    interval: 10s",
                "    interval: 10",
                "spec.analysis.interval",
            ),
            (
                "    - name: request-success-rate",
                "    - name: mine",
                "spec.analysis.metrics[0].name: is not built in",
            ),
            ("flagger.app/v1alpha3", "flagger.app/v2", "c.yaml:1:13: "),
        ] {
            let text = CANARY.replace(from, to);
            assert_ne!(text, CANARY);
            let error = read(&text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
