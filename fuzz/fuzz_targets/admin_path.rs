//! Requests to the admin port: nothing ends it, and a stranger gets no further than he should.

#![no_main]

use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use mesh_proxy::fuzzing::admin;

fuzz_target!(|input: (u8, &str)| {
    let (method, target) = input;
    let methods = [
        Method::GET,
        Method::POST,
        Method::HEAD,
        Method::PUT,
        Method::CONNECT,
    ];
    let method = &methods[usize::from(method) % methods.len()];
    let Ok(uri) = target.parse::<Uri>() else {
        return;
    };
    let [stranger, neighbour] = admin(method, &uri);
    // Only neighbours may watch a tap, or end the proxy.
    assert!(stranger.is_some(), "{method} {uri}");
    if uri.path() == "/shutdown" {
        assert_eq!(stranger, Some(403));
    } else if neighbour.is_some() {
        assert_eq!(stranger, neighbour, "{method} {uri}");
    }
    for status in [stranger, neighbour].into_iter().flatten() {
        assert!(
            matches!(status, 200 | 400 | 403 | 404 | 405 | 503),
            "{status}"
        );
    }
});
