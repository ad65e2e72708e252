use crate::{
    invalid::Flaw,
    pattern::{PathRegex, PatternCompiler},
    spec::RequestMatchSpec,
};
use http::Method;

/// A condition on requests: the meaning, kept slow and plain.
///
/// [`Matcher`](crate::matcher::Matcher) makes a whole list of them fast, and must agree with
/// this one tried route by route.
#[derive(Clone, Debug)]
pub(crate) enum RequestMatch {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Method(Method),
    Path(PathRegex),
}

impl RequestMatch {
    /// The deepest nesting; it bounds the stack.
    const MAX_DEPTH: usize = 64;

    /// `path` is the raw path: percent-encoded, without query, nothing folded or collapsed.
    pub(crate) fn is_match(&self, method: &Method, path: &str) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.is_match(method, path)),
            Self::Any(any) => any.iter().any(|one| one.is_match(method, path)),
            Self::Not(not) => !not.is_match(method, path),
            Self::Method(is) => is == method,
            Self::Path(regex) => regex.is_match(path),
        }
    }

    /// Several members of one object are joined by `all`, in the order of Linkerd's translation.
    pub(crate) fn compile(
        spec: &RequestMatchSpec,
        patterns: &mut PatternCompiler,
    ) -> Result<Self, Flaw> {
        Self::compile_at(spec, patterns, 0)
    }

    fn compile_at(
        spec: &RequestMatchSpec,
        patterns: &mut PatternCompiler,
        depth: usize,
    ) -> Result<Self, Flaw> {
        if depth > Self::MAX_DEPTH {
            return Err(Flaw::new("conditions are nested too deeply"));
        }
        let mut list = |specs: &[RequestMatchSpec], name| -> Result<Vec<Self>, Flaw> {
            specs
                .iter()
                .enumerate()
                .map(|(i, spec)| {
                    Self::compile_at(spec, patterns, depth + 1)
                        .map_err(|flaw| flaw.within_item(i).within(name))
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
        if let Some(method) = &spec.method {
            let method = Method::from_bytes(method.as_bytes())
                .map_err(|_| Flaw::new(format!("invalid method {method:?}")).within("method"))?;
            members.push(Self::Method(method));
        }
        if let Some(not) = &spec.not {
            let not =
                Self::compile_at(not, patterns, depth + 1).map_err(|flaw| flaw.within("not"))?;
            members.push(Self::Not(Box::new(not)));
        }
        if let Some(regex) = &spec.path_regex {
            let regex = patterns
                .compile(regex)
                .map_err(|reason| Flaw::new(reason).within("pathRegex"))?;
            members.push(Self::Path(regex));
        }
        match members.len() {
            0 => Err(Flaw::new("a request match must have a field set")),
            1 => Ok(members.remove(0)),
            _ => Ok(Self::All(members)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(json: &str) -> Result<RequestMatch, Flaw> {
        let spec: RequestMatchSpec = serde_json::from_str(json).unwrap();
        RequestMatch::compile(&spec, &mut PatternCompiler::new())
    }

    #[test]
    fn members_of_one_object_hold_together() {
        let both =
            compile(r#"{"method":"GET","pathRegex":"/a","not":{"pathRegex":"/b"}}"#).unwrap();
        assert!(both.is_match(&Method::GET, "/a"));
        assert!(!both.is_match(&Method::PUT, "/a"));
        assert!(!both.is_match(&Method::GET, "/b"));
    }

    #[test]
    fn empty_lists_mean_what_logic_says() {
        assert!(
            compile(r#"{"all":[]}"#)
                .unwrap()
                .is_match(&Method::GET, "/")
        );
        assert!(
            !compile(r#"{"any":[]}"#)
                .unwrap()
                .is_match(&Method::GET, "/")
        );
    }

    #[test]
    fn a_top_level_not_may_be_a_list_of_one() {
        for json in [
            r#"{"not":{"method":"GET"}}"#,
            r#"{"not":[{"method":"GET"}]}"#,
        ] {
            let not = compile(json).unwrap();
            assert!(!not.is_match(&Method::GET, "/"));
            assert!(not.is_match(&Method::PUT, "/"));
        }
        assert!(serde_json::from_str::<RequestMatchSpec>(r#"{"not":[]}"#).is_err());
        assert!(serde_json::from_str::<RequestMatchSpec>(r#"{"not":[{},{}]}"#).is_err());
    }

    #[test]
    fn a_flaw_is_named_by_its_place() {
        let flaw =
            compile(r#"{"all":[{"method":"GET"},{"any":[{"pathRegex":"/("}]}]}"#).unwrap_err();
        assert_eq!(flaw.field(), "all[1].any[0].pathRegex");
        let flaw = compile(r#"{"not":{}}"#).unwrap_err();
        assert_eq!(flaw.field(), "not");
        let flaw = compile(r#"{"method":"G T"}"#).unwrap_err();
        assert_eq!(flaw.field(), "method");
    }
}
