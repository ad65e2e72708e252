//! Profiles of any number of routes, and paths that match them.

use mesh_profile::{Profile, ProfileSpec, RequestMatchSpec, RouteSpec};

/// `/v1/collection-7/{id}/items/{item}.json`, as OpenAPI import writes it.
pub fn template(n: usize) -> String {
    format!(r"/v1/collection-{n}/[^/]*/items/[^/]*\.json")
}

/// A path of five segments that [`template`] `n` matches.
pub fn path(n: usize) -> String {
    format!("/v1/collection-{n}/4711/items/42.json")
}

/// `/(hard|soft)-7/\d+(/.*)?`, which is no template.
pub fn hard(n: usize) -> String {
    format!(r"/(hard|soft)-{n}/\d+(/.*)?")
}

/// A path that [`hard`] `n` matches.
pub fn hard_path(n: usize) -> String {
    format!("/soft-{n}/4711/items")
}

/// A profile of one route for GET for each of `patterns`, in their order.
///
/// # Panics
///
/// If one of them is no regex.
pub fn profile(patterns: impl Iterator<Item = String>, is_retryable: bool) -> Profile {
    let routes = patterns.enumerate().map(|(n, pattern)| RouteSpec {
        name: format!("route {n}"),
        condition: RequestMatchSpec {
            method: Some("GET".to_owned()),
            path_regex: Some(pattern),
            ..Default::default()
        },
        is_retryable,
        timeout: Some("10s".to_owned()),
        ..Default::default()
    });
    let spec = ProfileSpec {
        routes: routes.collect(),
        ..Default::default()
    };
    Profile::try_from(spec).expect("the routes are valid")
}
