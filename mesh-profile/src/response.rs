use crate::{
    invalid::Flaw,
    spec::{ResponseClassSpec, ResponseMatchSpec, StatusRangeSpec},
};
use http::StatusCode;
use mesh_core::{Class, Classify, DefaultClassify, End, Head};
use std::ops::RangeInclusive;

/// The response classes of one route: the first whose condition holds decides, and where none
/// does the default: gRPC status, then 5xx.
///
/// A response whose body breaks is a failure whatever its status promised.
#[derive(Clone, Debug)]
pub(crate) struct ResponseClasses(Vec<ResponseClass>);

#[derive(Clone, Debug)]
struct ResponseClass {
    condition: ResponseMatch,
    class: Class,
}

impl ResponseClasses {
    pub(crate) fn compile(specs: &[ResponseClassSpec]) -> Result<Self, Flaw> {
        specs
            .iter()
            .enumerate()
            .map(|(i, spec)| {
                let condition = ResponseMatch::compile(&spec.condition, 0).map_err(|flaw| {
                    flaw.within("condition")
                        .within_item(i)
                        .within("responseClasses")
                })?;
                let class = if spec.is_failure {
                    Class::Failure
                } else {
                    Class::Success
                };
                Ok(ResponseClass { condition, class })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Classify for ResponseClasses {
    fn classify(&self, head: &Head<'_>, end: Option<End<'_>>) -> Option<Class> {
        if matches!(end, Some(End::Error(_))) {
            return Some(Class::Failure);
        }
        let status = head.status();
        self.0
            .iter()
            .find(|class| class.condition.is_match(status))
            .map(|class| class.class)
            .or_else(|| DefaultClassify.classify(head, end))
    }
}

/// A condition on responses: their HTTP status.
#[derive(Clone, Debug)]
enum ResponseMatch {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Status(RangeInclusive<u16>),
}

impl ResponseMatch {
    /// The deepest nesting; it bounds the stack.
    const MAX_DEPTH: usize = 64;

    fn is_match(&self, status: StatusCode) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.is_match(status)),
            Self::Any(any) => any.iter().any(|one| one.is_match(status)),
            Self::Not(not) => !not.is_match(status),
            Self::Status(range) => range.contains(&status.as_u16()),
        }
    }

    fn compile(spec: &ResponseMatchSpec, depth: usize) -> Result<Self, Flaw> {
        if depth > Self::MAX_DEPTH {
            return Err(Flaw::new("conditions are nested too deeply"));
        }
        let list = |specs: &[ResponseMatchSpec], name| -> Result<Vec<Self>, Flaw> {
            specs
                .iter()
                .enumerate()
                .map(|(i, spec)| {
                    Self::compile(spec, depth + 1).map_err(|flaw| flaw.within_item(i).within(name))
                })
                .collect()
        };
        let mut members = Vec::new();
        if let Some(all) = &spec.all {
            members.push(Self::All(list(all, "all")?));
        }
        if let Some(any) = &spec.any {
            members.push(Self::Any(list(any, "any")?));
        }
        if let Some(not) = &spec.not {
            let not = Self::compile(not, depth + 1).map_err(|flaw| flaw.within("not"))?;
            members.push(Self::Not(Box::new(not)));
        }
        if let Some(status) = &spec.status {
            let range = range(status).map_err(|flaw| flaw.within("status"))?;
            members.push(Self::Status(range));
        }
        match members.len() {
            0 => Err(Flaw::new("a response match must have a field set")),
            1 => Ok(members.remove(0)),
            _ => Ok(Self::All(members)),
        }
    }
}

/// One bound alone is that one code, as documented; Linkerd's proxy drops such a range.
fn range(spec: &StatusRangeSpec) -> Result<RangeInclusive<u16>, Flaw> {
    let bound = |code: u32, name, which| match u16::try_from(code) {
        Ok(code @ (0 | 100..=599)) => Ok(code),
        _ => Err(Flaw::new(format!(
            "range {which} must be between 100 and 599, inclusive, but is {code}"
        ))
        .within(name)),
    };
    match (
        bound(spec.min, "min", "minimum")?,
        bound(spec.max, "max", "maximum")?,
    ) {
        (0, 0) => Err(Flaw::new("a status range must have a bound")),
        (0, only) | (only, 0) => Ok(only..=only),
        (min, max) if max < min => {
            Err(Flaw::new("range maximum cannot be smaller than minimum").within("max"))
        }
        (min, max) => Ok(min..=max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use mesh_core::Fault;

    fn classify(json: &str, status: u16) -> Result<Option<Class>, Flaw> {
        let specs: Vec<ResponseClassSpec> = serde_json::from_str(json).unwrap();
        let headers = HeaderMap::new();
        let status = StatusCode::from_u16(status).unwrap();
        let classes = ResponseClasses::compile(&specs)?;
        Ok(classes.classify(&Head::new(false, status, &headers), None))
    }

    const FAILURE: Result<Option<Class>, Flaw> = Ok(Some(Class::Failure));
    const SUCCESS: Result<Option<Class>, Flaw> = Ok(Some(Class::Success));

    #[test]
    fn the_first_condition_that_holds_decides() {
        let json = r#"[
            {"condition": {"status": {"min": 404}}, "isFailure": true},
            {"condition": {"status": {"min": 400, "max": 503}}}
        ]"#;
        assert_eq!(classify(json, 404), FAILURE);
        assert_eq!(classify(json, 400), SUCCESS);
        assert_eq!(classify(json, 503), SUCCESS);
        assert_eq!(classify(json, 504), FAILURE);
        assert_eq!(classify(json, 200), SUCCESS);
    }

    #[test]
    fn one_bound_is_one_code() {
        let json = r#"[{"condition": {"status": {"max": 201}}, "isFailure": true}]"#;
        assert_eq!(classify(json, 201), FAILURE);
        assert_eq!(classify(json, 200), SUCCESS);
    }

    #[test]
    fn conditions_combine() {
        let json = r#"[{"condition": {
            "all": [{"status": {"min": 200, "max": 299}}, {"not": [{"status": {"min": 204}}]}],
            "any": [{"status": {"min": 204}}, {"status": {"min": 206}}]
        }, "isFailure": true}]"#;
        assert_eq!(classify(json, 206), FAILURE);
        assert_eq!(classify(json, 204), SUCCESS);
        assert_eq!(classify(json, 200), SUCCESS);
    }

    #[test]
    fn a_broken_body_is_a_failure_whatever_the_classes_say() {
        let specs: Vec<ResponseClassSpec> =
            serde_json::from_str(r#"[{"condition": {"all": []}}]"#).unwrap();
        let classes = ResponseClasses::compile(&specs).unwrap();
        let headers = HeaderMap::new();
        let head = Head::new(false, StatusCode::OK, &headers);
        assert_eq!(
            classes.classify(&head, Some(End::Error(Fault::Reset))),
            Some(Class::Failure)
        );
    }

    #[test]
    fn bounds_out_of_range_are_named() {
        for (json, field) in [
            (r#"[{"condition":{"status":{"min":99}}}]"#, "status.min"),
            (r#"[{"condition":{"status":{"max":600}}}]"#, "status.max"),
            (
                r#"[{"condition":{"status":{"min":500,"max":400}}}]"#,
                "status.max",
            ),
            (r#"[{"condition":{"status":{}}}]"#, "status"),
        ] {
            let flaw = classify(json, 200).unwrap_err();
            assert_eq!(
                flaw.field(),
                format!("responseClasses[0].condition.{field}")
            );
        }
        assert_eq!(
            classify(r#"[{"condition":{}}]"#, 200).unwrap_err().field(),
            "responseClasses[0].condition"
        );
    }
}
