use crate::{
    Conformance, Law, Mock, Shape,
    conformance::{Subject, succeed},
    exchange::{RequestId, ResponseId},
    law::violated,
};
use http::{HeaderMap, Version, request};
use std::fmt::Debug;

/// Checks that heads arrive as sent. Additions to them are allowed.
pub(crate) fn heads<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    let req = conformance.request(&mock, &Shape::of(["request"]));
    let (sent, body) = req.into_parts();
    let again = http::Request::from_parts(sent.clone(), body);
    let rsp = succeed(&mut service, again, "with heads compared").head;
    let Some(seen) = mock.seen().pop() else {
        violated(Law::PassesThrough, "an answer came, and nobody was asked")
    };
    let request::Parts {
        method,
        uri,
        version,
        headers,
        extensions,
        ..
    } = &sent;
    let id = extensions.get::<RequestId>().map(|id| id.0);
    same("the request's method", method, &seen.method);
    same("the request's target", uri, &seen.uri);
    same("the request's version", version, &seen.version);
    same("what is in the request's extensions", &id, &seen.id);
    includes("the request's headers", headers, &seen.headers);

    let answered = rsp.extensions.get::<ResponseId>().map(|id| id.0);
    same("what is in the response's extensions", &id, &answered);
    same("the response's status", &200, &rsp.status.as_u16());
    same("the response's version", &Version::HTTP_2, &rsp.version);
    let header = rsp.headers.get(ResponseId::HEADER);
    let header = header.and_then(|id| id.to_str().ok()?.parse().ok());
    same("the response's header", &id, &header);
    mock.assert_idle("after an exchange");
}

pub(crate) fn same<T: PartialEq + Debug + ?Sized>(what: &str, before: &T, after: &T) {
    if before != after {
        violated(
            Law::PassesThrough,
            format_args!("{what} was {before:?} and became {after:?}"),
        );
    }
}

fn includes(what: &str, before: &HeaderMap, after: &HeaderMap) {
    for name in before.keys() {
        let values =
            |headers: &HeaderMap| -> Vec<_> { headers.get_all(name).iter().cloned().collect() };
        same(&format!("{what} `{name}`"), &values(before), &values(after));
    }
}
