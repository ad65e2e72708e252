//! Addresses of the pages. Names from elsewhere are encoded here and nowhere else.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) const OVERVIEW: &str = "/";
pub(super) const TAP: &str = "/tap";
pub(super) const ROUTES: &str = "/routes";
pub(super) const EXPLAIN: &str = "/explain";
pub(super) const CHECK: &str = "/check";

/// The page of a workload.
pub(super) fn workload(namespace: &str, name: &str) -> String {
    let [namespace, name] = [namespace, name].map(|it| utf8_percent_encode(it, NON_ALPHANUMERIC));
    format!("/namespaces/{namespace}/deployments/{name}")
}

/// `path` with the parameters that are not empty.
pub(super) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let given: Vec<_> = given.collect();
    match serde_urlencoded::to_string(&given) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_their_place() {
        assert_eq!(
            workload("a/..", "\"><b>"),
            "/namespaces/a%2F%2E%2E/deployments/%22%3E%3Cb%3E"
        );
        assert_eq!(
            with_query(TAP, &[("resource", "deploy/a&b"), ("to", "")]),
            "/tap?resource=deploy%2Fa%26b"
        );
        assert_eq!(with_query(OVERVIEW, &[("q", "")]), "/");
    }
}
