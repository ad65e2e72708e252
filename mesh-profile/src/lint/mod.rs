//! Finds probable mistakes in valid profiles.

mod language;

use self::language::Language;
use crate::{pattern::PathRegex, profile::Profile, request::RequestMatch};
use http::Method;
use mesh_core::Route;
use std::{collections::HashSet, fmt};

/// Something in a profile that is allowed but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    route: Option<String>,
    message: String,
}

impl Finding {
    /// The name of the route, if it is about one.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(route) = &self.route {
            write!(f, "route {route:?}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A condition that is a method, a regex, or both: what can be compared with others.
struct Plain<'a> {
    method: Option<&'a Method>,
    /// Any path, if absent.
    language: Option<Language<'a>>,
}

/// The most pairs of routes that are compared; a profile with more is checked in part.
const MAX_PAIRS: usize = 2_000_000;

pub(crate) fn check(profile: &Profile) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_budget(profile, &mut findings);

    let names: Vec<_> = profile.routes().map(Route::name).collect();
    let mut seen = HashSet::new();
    let mut plains: Vec<Option<Plain<'_>>> = Vec::new();
    let mut pairs = 0;
    for (i, condition) in profile.conditions().iter().enumerate() {
        let mut find = |message: String| {
            findings.push(Finding {
                route: Some(names[i].to_owned()),
                message,
            });
        };
        if !seen.insert(names[i]) {
            find("an earlier route has the same name, and metrics add the two up".into());
        }
        check_parts(condition, &mut find);
        let plain = Plain::of(condition);
        if let Some(plain) = &plain {
            let earlier = plains.iter().zip(&names);
            for (earlier, name) in earlier.take(MAX_PAIRS.saturating_sub(pairs)) {
                pairs += 1;
                let Some(earlier) = earlier else { continue };
                match plain.after(earlier) {
                    Overlap::None => {}
                    Overlap::Whole => {
                        find(format!(
                            "no request reaches it: route {name:?} before it takes them all"
                        ));
                        break;
                    }
                    Overlap::Part => find(format!(
                        "route {name:?} before it takes some of its requests, and neither is \
                         a special case of the other"
                    )),
                }
            }
        }
        plains.push(plain);
    }
    findings
}

fn check_budget(profile: &Profile, findings: &mut Vec<Finding>) {
    let mut find = |message: &str| {
        findings.push(Finding {
            route: None,
            message: message.to_owned(),
        });
    };
    let budget = profile.budget();
    let is_retryable = profile.routes().any(Route::is_retryable);
    if budget.ratio() == 0.0 && budget.min_per_second() == 0 && is_retryable {
        find("retryBudget: it allows no retry at all, though a route is retryable");
    }
    if profile.declared().budget().is_some() && !is_retryable {
        find("retryBudget: no route is retryable, so that it has no effect");
    }
    let overrides = profile.dst_overrides();
    if !overrides.is_empty() && overrides.iter().all(|dst| dst.weight.milli() == 0) {
        find("dstOverrides: all weights are zero, so that there is no split");
    }
}

/// Finds mistakes within one part of a condition.
fn check_parts(condition: &RequestMatch, find: &mut impl FnMut(String)) {
    match condition {
        RequestMatch::All(parts) | RequestMatch::Any(parts) => {
            if matches!(condition, RequestMatch::Any(any) if any.is_empty()) {
                find("an empty `any` holds for nothing".to_owned());
            }
            parts.iter().for_each(|part| check_parts(part, find));
        }
        RequestMatch::Not(not) => check_parts(not, find),
        RequestMatch::Method(method) => {
            let upper = method.as_str().to_ascii_uppercase();
            if method.as_str() != upper {
                find(format!(
                    "method {method} is not {upper}: methods are compared with their case"
                ));
            }
        }
        RequestMatch::Path(regex) => {
            if Language::new(regex).is_empty() == Some(true) {
                let regex = regex.as_str();
                find(format!(
                    "pathRegex {regex:?} matches no path: a path begins with a slash, and has no \
                     blank, no query and no fragment"
                ));
            }
        }
    }
}

enum Overlap {
    None,
    Part,
    Whole,
}

impl<'a> Plain<'a> {
    fn of(condition: &'a RequestMatch) -> Option<Self> {
        let plain = |method, regex: Option<&'a PathRegex>| Self {
            method,
            language: regex.map(Language::new),
        };
        match condition {
            RequestMatch::Method(method) => Some(plain(Some(method), None)),
            RequestMatch::Path(regex) => Some(plain(None, Some(regex))),
            RequestMatch::All(all) => match all.as_slice() {
                [RequestMatch::Method(method), RequestMatch::Path(regex)]
                | [RequestMatch::Path(regex), RequestMatch::Method(method)] => {
                    Some(plain(Some(method), Some(regex)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Compares this route with an earlier one. An earlier special case, such as `/books/mine`
    /// before `/books/{id}`, is intended.
    fn after(&self, earlier: &Self) -> Overlap {
        let (methods_meet, method_covers) = match (earlier.method, self.method) {
            (None, _) => (true, true),
            (Some(_), None) => (true, false),
            (Some(earlier), Some(this)) => (earlier == this, earlier == this),
        };
        if !methods_meet {
            return Overlap::None;
        }
        let relation = match (&earlier.language, &self.language) {
            (None, _) => {
                return if method_covers {
                    Overlap::Whole
                } else {
                    Overlap::None
                };
            }
            // This one is the general case.
            (Some(_), None) => return Overlap::None,
            (Some(earlier), Some(this)) => earlier.relation(this),
        };
        match relation {
            Some(r) if r.both && !r.only_second && method_covers => Overlap::Whole,
            Some(r) if r.both && r.only_first && r.only_second => Overlap::Part,
            _ => Overlap::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(routes: &[(&str, &str)]) -> Vec<String> {
        let routes: Vec<_> = routes
            .iter()
            .enumerate()
            .map(|(i, (method, path))| {
                serde_json::json!({"name": i.to_string(), "condition": match *method {
                    "" => serde_json::json!({"pathRegex": path}),
                    method => serde_json::json!({"method": method, "pathRegex": path}),
                }})
            })
            .collect();
        let profile: Profile =
            serde_json::from_value(serde_json::json!({ "routes": routes })).unwrap();
        profile.lint().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_route_that_nothing_reaches_is_found() {
        for (earlier, later, is_found) in [
            (("", "/.*"), ("GET", "/a"), true),
            (("GET", "/a/[^/]*"), ("GET", "/a/b"), true),
            (("GET", "/a/[^/]*"), ("PUT", "/a/b"), false),
            (("GET", "/a/[^/]*"), ("", "/a/b"), false),
            (("", r"/a/\w+"), ("", r"/a/\d+"), true),
            (("", r"/a/\d+"), ("", r"/a/\w+"), false),
            (("", "/a/b"), ("", "/a/[^/]*"), false),
            (("", "/a"), ("", "/a"), true),
        ] {
            let found = findings(&[earlier, later]);
            let expected =
                r#"route "1": no request reaches it: route "0" before it takes them all"#;
            assert_eq!(
                found.iter().any(|f| f == expected),
                is_found,
                "{earlier:?} {later:?}"
            );
            assert_eq!(found.len(), usize::from(is_found), "{found:?}");
        }
    }

    #[test]
    fn routes_that_cross_are_found() {
        let found = findings(&[("", "/a/[^/]*"), ("", "/[^/]*/b"), ("", r"/a/x\.json")]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r#"route "1": route "0" before it takes some"#));
        assert!(found[1].starts_with(r#"route "2": no request reaches it"#));
    }

    #[test]
    fn a_regex_that_no_path_matches_is_found() {
        for path in [
            "books",
            "/a b",
            r"/a\?x=.*",
            "",
            "/a#b",
            r"/\z/",
            "[a-z]+/.*",
        ] {
            let found = findings(&[("", path)]);
            assert_eq!(found.len(), 1, "{path}");
            assert!(found[0].contains("matches no path"), "{}", found[0]);
        }
        for path in ["/", ".*", "/a?", "/é", "[^/]*/x", r"/\d+", "/a%20b"] {
            assert_eq!(findings(&[("", path)]), [""; 0], "{path}");
        }
    }

    #[test]
    fn what_has_no_effect_is_found() {
        let profile: Profile = serde_json::from_str(
            r#"{"routes": [
                {"name": "a", "condition": {"method": "get"}},
                {"name": "a", "condition": {"any": []}}
            ],
            "retryBudget": {"retryRatio": 0, "minRetriesPerSecond": 0, "ttl": "10s"},
            "dstOverrides": [{"authority": "a", "weight": 0}]}"#,
        )
        .unwrap();
        let found: Vec<_> = profile.lint().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "retryBudget: no route is retryable, so that it has no effect",
                "dstOverrides: all weights are zero, so that there is no split",
                "route \"a\": method get is not GET: methods are compared with their case",
                "route \"a\": an earlier route has the same name, and metrics add the two up",
                "route \"a\": an empty `any` holds for nothing",
            ]
        );
    }
}
