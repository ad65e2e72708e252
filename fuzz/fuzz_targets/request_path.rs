//! Paths that clients send, whatever they are, through a profile with routes of every kind.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Slow, check};
use mesh_profile::{Profile, ProfileSpec, RequestMatchSpec, RouteSpec};
use std::{cell::RefCell, sync::LazyLock};

const ROUTES: [(&str, &str); 16] = [
    ("GET", "/books/[^/]*"),
    ("GET", "/books/mine"),
    ("", r"/books/[^/]*\.json"),
    ("PUT", r"/[^/]*\.[^/]*"),
    ("", "/v1/[^/]*:undelete"),
    ("POST", r"/v1/[^/]+/[^/]*a[^/]*b"),
    ("", r"/authors/\d+"),
    ("GET", r"/(a|b)/\w{2,5}/.*"),
    ("", "(?i)/case/[a-z]+"),
    ("GET", "/a%2Fb/[^/]*"),
    ("", "/é/[^/]*"),
    ("POST", r"/x/\bword\b"),
    ("", ".*/end"),
    ("DELETE", "/(?s).*"),
    ("", "/deep/[^/]*/[^/]*/[^/]*/[^/]*"),
    ("PATCH", ""),
];

static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let routes = ROUTES.iter().map(|(method, path)| RouteSpec {
        name: format!("{method} {path}"),
        condition: RequestMatchSpec {
            method: (!method.is_empty()).then(|| (*method).to_owned()),
            path_regex: Some((*path).to_owned()),
            ..RequestMatchSpec::default()
        },
        ..RouteSpec::default()
    });
    let spec = ProfileSpec {
        routes: routes.collect(),
        ..ProfileSpec::default()
    };
    Profile::try_from(spec).expect("the routes are sound")
});

thread_local! {
    static SLOW: RefCell<Slow> = RefCell::default();
}

fuzz_target!(|input: (u8, &str)| {
    let (method, path) = input;
    let methods = [
        Method::GET,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::PATCH,
    ];
    let method = &methods[usize::from(method) % methods.len()];
    SLOW.with_borrow_mut(|slow| {
        check(&PROFILE, slow, method, path);
        // And as a server gets it: only what is a path at all.
        if let Ok(uri) = path.parse::<http::Uri>() {
            check(&PROFILE, slow, method, uri.path());
        }
    });
});
