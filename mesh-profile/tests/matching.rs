//! The compiled lookup against the plain meaning: try the routes in order.

use http::Method;
use mesh_profile::{Profile, ProfileSpec, RequestMatchSpec, RouteSpec};
use proptest::prelude::*;
use regex::Regex;

/// The meaning, by another engine: `^(?:pattern)$` of the `regex` crate.
fn holds(condition: &RequestMatchSpec, method: &Method, path: &str) -> bool {
    let holds = |one: &RequestMatchSpec| holds(one, method, path);
    condition.all.iter().all(|all| all.iter().all(holds))
        && condition.any.iter().all(|any| any.iter().any(holds))
        && condition.not.iter().all(|not| !holds(not))
        && condition.method.iter().all(|is| method.as_str() == is)
        && condition.path_regex.iter().all(|pattern| {
            Regex::new(&format!("^(?:{})$", pattern.trim()))
                .unwrap()
                .is_match(path)
        })
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]{0,2}",
        3 => Just("[^/]*".to_owned()),
        1 => Just("[^/]+".to_owned()),
        1 => Just(r"[^/]*\.json".to_owned()),
        1 => Just(r"[^/]*\.[^/]*".to_owned()),
        1 => Just(r"a[^/]*".to_owned()),
        1 => Just(r"[^/]*:b".to_owned()),
        1 => Just(r"[^/]+a[^/]*b[^/]+".to_owned()),
        1 => Just(r"%2F".to_owned()),
        1 => Just(r"\d+".to_owned()),
        1 => Just(r"(a|b)".to_owned()),
        1 => Just(r"(?i)a".to_owned()),
        1 => Just(r"é".to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let path = || prop::collection::vec(segment(), 0..4).prop_map(|s| format!("/{}", s.join("/")));
    prop_oneof![
        8 => path(),
        2 => path().prop_map(|path| format!("{path}.*")),
        1 => path().prop_map(|path| format!("{path}/.*")),
        1 => path().prop_map(|path| format!("^{path}$")),
        1 => path().prop_map(|path| format!(" ({path}) ")),
        1 => path().prop_map(|path| format!("(?s){path}.*")),
        1 => (path(), path()).prop_map(|(a, b)| format!("{a}|{b}")),
        1 => path().prop_map(|path| format!(".*{path}")),
        1 => path().prop_map(|path| format!("{path}?")),
        1 => segment(),
        1 => Just(String::new()),
        1 => Just(".*".to_owned()),
    ]
}

fn method() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["GET", "POST", "PURGE", "get"]).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = RequestMatchSpec> {
    let path = pattern().prop_map(RequestMatchSpec::path_regex);
    let leaf = prop_oneof![
        3 => path,
        1 => method().prop_map(RequestMatchSpec::method),
        6 => (method(), pattern()).prop_map(|(method, path)| RequestMatchSpec {
            method: Some(method),
            path_regex: Some(path),
            ..RequestMatchSpec::default()
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            list().prop_map(|all| RequestMatchSpec {
                all: Some(all),
                ..RequestMatchSpec::default()
            }),
            list().prop_map(|any| RequestMatchSpec {
                any: Some(any),
                ..RequestMatchSpec::default()
            }),
            inner.clone().prop_map(|not| RequestMatchSpec {
                not: Some(Box::new(not)),
                ..RequestMatchSpec::default()
            }),
            (list(), list(), inner.clone(), method(), pattern()).prop_map(
                |(all, any, not, method, path)| RequestMatchSpec {
                    all: Some(all),
                    any: Some(any),
                    not: Some(Box::new(not)),
                    method: Some(method),
                    path_regex: Some(path),
                }
            ),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "[ab]{0,2}",
        1 => Just("a.json".to_owned()),
        1 => Just(".json".to_owned()),
        1 => Just("a.b".to_owned()),
        1 => Just("a:b".to_owned()),
        1 => Just("xaxbxabx".to_owned()),
        1 => Just("%2F".to_owned()),
        1 => Just("12".to_owned()),
        1 => Just("é".to_owned()),
        1 => Just("a\n".to_owned()),
    ];
    prop_oneof![
        9 => prop::collection::vec(segment, 0..4).prop_map(|s| format!("/{}", s.join("/"))),
        1 => "[ab/]{0,3}",
        1 => Just("*".to_owned()),
    ]
}

fn profile(conditions: &[RequestMatchSpec]) -> Profile {
    let routes = conditions
        .iter()
        .enumerate()
        .map(|(i, condition)| RouteSpec {
            name: i.to_string(),
            condition: condition.clone(),
            ..RouteSpec::default()
        });
    Profile::try_from(ProfileSpec {
        routes: routes.collect(),
        ..ProfileSpec::default()
    })
    .unwrap()
}

fn check(conditions: &[RequestMatchSpec], requests: &[(String, String)]) {
    let profile = profile(conditions);
    for (method, path) in requests {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let expected = conditions.iter().position(|c| holds(c, &method, path));
        assert_eq!(
            profile.position(&method, path),
            expected,
            "{method} {path:?} among {conditions:#?}"
        );
        // Its reasons agree with its answer, or `explain` would say so for the wrong routes.
        let explanation = profile.explain(&method, path);
        assert_eq!(explanation.position, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_answer_is_that_of_trying_the_routes_in_order(
        conditions in prop::collection::vec(condition(), 0..12),
        requests in prop::collection::vec((method(), path()), 1..12),
    ) {
        check(&conditions, &requests);
    }

    #[test]
    fn arbitrary_patterns_mean_what_the_regex_crate_says(
        patterns in prop::collection::vec("[ab/.*+?^$|()\\[\\]\\\\{}0-9x-]{0,10}", 1..8),
        requests in prop::collection::vec((method(), path()), 1..12),
    ) {
        let conditions: Vec<_> = patterns
            .into_iter()
            .filter(|pattern| Regex::new(pattern).is_ok())
            .map(RequestMatchSpec::path_regex)
            .collect();
        check(&conditions, &requests);
    }
}

#[test]
fn routes_overlap_in_the_order_of_the_profile() {
    let paths = |patterns: &[&str]| -> Vec<_> {
        patterns
            .iter()
            .map(|pattern| RequestMatchSpec::path_regex(*pattern))
            .collect()
    };
    let requests = |paths: &[&str]| -> Vec<_> {
        paths
            .iter()
            .map(|path| ("GET".to_owned(), (*path).to_owned()))
            .collect()
    };
    check(
        &paths(&[
            "/users/[^/]*",
            "/users/me",
            "/[^/]*/[^/]*",
            r"/v1/[^/]*:undelete",
            "/v1/[^/]*",
            r"/[^/]*\.[^/]*",
            "/files/.*",
            "/files/a/b",
            r"/items/\d+",
            "/.*",
        ]),
        &requests(&[
            "/users/me",
            "/users/",
            "/users",
            "/v1/x:undelete",
            "/v1/:undelete",
            "/a.b",
            "/a.b.c",
            "/.",
            "/files/a/b",
            "/files/",
            "/items/7",
            "/items/x",
            "/a%2Fb/c",
            "/",
            "",
        ]),
    );
}

#[test]
fn more_methods_than_bits_are_still_told_apart() {
    let of = |pattern: &'static str| {
        (0..80).map(move |i| RequestMatchSpec {
            method: Some(format!("M{i}")),
            path_regex: Some(pattern.to_owned()),
            ..RequestMatchSpec::default()
        })
    };
    let conditions: Vec<_> = of("/[^/]*").chain(of("/(a|b)/c")).collect();
    let requests: Vec<_> = (0..82)
        .flat_map(|i| ["/a", "/b/c"].map(|path| (format!("M{i}"), path.to_owned())))
        .collect();
    check(&conditions, &requests);
}

#[test]
fn paths_longer_than_any_template_are_of_no_template() {
    let deep = |segments: usize| RequestMatchSpec {
        path_regex: Some("/[^/]*".repeat(segments)),
        ..Default::default()
    };
    let conditions: Vec<_> = (60..70).map(deep).collect();
    let requests: Vec<_> = (55..75)
        .map(|segments| ("GET".to_owned(), "/x".repeat(segments)))
        .collect();
    check(&conditions, &requests);
}
