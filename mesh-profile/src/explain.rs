use crate::{profile::Profile, request::RequestMatch};
use http::Method;
use mesh_core::Route;
use std::fmt;

/// The reason why a request belongs to its route, and to none of the routes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub struct Explanation {
    /// The name of the route; `[DEFAULT]` if none matched.
    pub route: String,
    /// Its place in the profile, from zero; `None` is the default route.
    pub position: Option<usize>,
    /// The part of the route's condition that decided.
    pub reason: String,
    /// The routes tried before it, in order.
    pub passed_over: Vec<PassedOver>,
}

/// A route that a request is not of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub struct PassedOver {
    /// Its name.
    pub route: String,
    /// The part of the route's condition that the request failed.
    pub reason: String,
}

impl Explanation {
    pub(crate) fn new(profile: &Profile, method: &Method, path: &str) -> Self {
        let position = profile.position(method, path);
        let conditions = profile.conditions();
        let names = || profile.routes().map(Route::name);
        let passed_over = names()
            .zip(conditions)
            .take(position.unwrap_or(conditions.len()))
            .map(|(name, condition)| PassedOver {
                route: name.to_owned(),
                reason: reason(condition, method, path),
            })
            .collect();
        Self {
            route: position
                .and_then(|position| names().nth(position))
                .unwrap_or(Route::DEFAULT_NAME)
                .to_owned(),
            position,
            reason: match position {
                Some(position) => reason(&conditions[position], method, path),
                None if conditions.is_empty() => "the profile has no routes".to_owned(),
                None => "no route's condition holds".to_owned(),
            },
            passed_over,
        }
    }
}

/// Describes the shortest list of parts that makes `condition` hold or fail.
fn reason(condition: &RequestMatch, method: &Method, path: &str) -> String {
    let holds = condition.is_match(method, path);
    let some = |list: &[RequestMatch], which| {
        list.iter()
            .find(|one| one.is_match(method, path) == which)
            .map(|one| reason(one, method, path))
    };
    let each = |list: &[RequestMatch]| {
        let each: Vec<_> = list.iter().map(|one| reason(one, method, path)).collect();
        each.join(" and ")
    };
    match condition {
        RequestMatch::Method(is) if holds => format!("method is {is}"),
        RequestMatch::Method(is) => format!("method is {method}, not {is}"),
        RequestMatch::Path(regex) if holds => format!("path matches {}", regex.as_str()),
        RequestMatch::Path(regex) => format!("path does not match {}", regex.as_str()),
        RequestMatch::Not(not) if holds => {
            format!("not: {}", reason(not, method, path))
        }
        RequestMatch::Not(not) => format!("excluded: {}", reason(not, method, path)),
        RequestMatch::All(all) if all.is_empty() => "an empty `all` holds for everything".into(),
        RequestMatch::Any(any) if any.is_empty() => "an empty `any` holds for nothing".into(),
        RequestMatch::All(all) => some(all, false).unwrap_or_else(|| each(all)),
        RequestMatch::Any(any) => some(any, true).unwrap_or_else(|| each(any)),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}", self.route, self.reason)?;
        for other in &self.passed_over {
            write!(f, "\n  not {}: {}", other.route, other.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_before_the_chosen_one_has_its_reason() {
        let profile: Profile = serde_json::from_str(
            r#"{"routes": [
                {"name": "list", "condition": {"method": "GET", "pathRegex": "/books"}},
                {"name": "write", "condition": {"any": [{"method": "PUT"}, {"method": "POST"}]}},
                {"name": "rest", "condition": {"not": {"pathRegex": "/authors/.*"}}}
            ]}"#,
        )
        .unwrap();
        assert_eq!(
            profile.explain(&Method::GET, "/books/1").to_string(),
            "route rest: not: path does not match /authors/.*\n  \
             not list: path does not match /books\n  \
             not write: method is GET, not PUT and method is GET, not POST"
        );
        let none = profile.explain(&Method::GET, "/authors/1");
        assert_eq!(none.route, "[DEFAULT]");
        assert_eq!(none.passed_over.len(), 3);
        assert_eq!(
            none.passed_over[2].reason,
            "excluded: path matches /authors/.*"
        );
        assert_eq!(
            Profile::default().explain(&Method::GET, "/").to_string(),
            "route [DEFAULT]: the profile has no routes"
        );
    }
}
