use crate::{
    Conformance, Law, Mock, MockReply, Shape, StrictBody,
    conformance::{Subject, exchange, succeed},
    exchange::bounds,
    law::{expect_broken, violated},
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use std::fmt::Debug;

/// Checks that bodies of every shape pass unchanged in both directions.
pub(crate) fn bodies<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    for shape in Shape::all() {
        of_the_request(conformance, &shape);
        of_the_response(conformance, &shape);
    }
}

fn of_the_request<F, S>(conformance: &Conformance<F>, shape: &Shape)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    let req = conformance.request(&mock, shape);
    let expected = Expected::of(req.body());
    succeed(&mut service, req, "with a body in its request");
    mock.assert_idle("after a request with a body");
    let Some(seen) = mock.seen().pop() else {
        violated(Law::PassesThrough, "an answer came, and nobody was asked")
    };
    if seen.broken != shape.breaks() {
        violated(
            Law::SurfacesErrors,
            "the request body broke, and the inner service was not told",
        );
    }
    let whose = "the request body";
    expected.compare(whose, seen.size_hint, seen.is_end_stream);
    contents(whose, shape, &seen.data, seen.trailers.as_ref());
}

fn of_the_response<F, S>(conformance: &Conformance<F>, shape: &Shape)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    let expected = Expected::of(&StrictBody::new(shape));
    mock.answer([MockReply::Response(200, shape.clone())]);
    let req = conformance.request(&mock, &Shape::empty());
    let rsp = match exchange(&mut service, req) {
        Ok(rsp) => rsp,
        Err(error) => violated(
            Law::SurfacesErrors,
            format_args!("a response with a body became the error `{error}`"),
        ),
    };
    mock.assert_idle("after a response with a body");
    match rsp.error {
        Some(error) if shape.breaks() => expect_broken(error, "the response body"),
        Some(error) => violated(
            Law::KeepsBodies,
            format_args!("the response body was good, and became the error `{error}`"),
        ),
        None if shape.breaks() => violated(
            Law::SurfacesErrors,
            "the response body broke, and its reader was not told",
        ),
        None => {}
    }
    let whose = "the response body";
    expected.compare(whose, rsp.size_hint, rsp.is_end_stream);
    contents(whose, shape, &rsp.data, rsp.trailers.as_ref());
}

/// The expected size hint and end of a body before it is read.
struct Expected {
    size_hint: (u64, Option<u64>),
    is_end_stream: bool,
}

impl Expected {
    fn of(body: &StrictBody) -> Self {
        Self {
            size_hint: bounds(&body.size_hint()),
            is_end_stream: body.is_end_stream(),
        }
    }

    fn compare(&self, whose: &str, size_hint: (u64, Option<u64>), is_end_stream: bool) {
        kept(whose, "`size_hint`", &self.size_hint, &size_hint);
        kept(
            whose,
            "`is_end_stream`",
            &self.is_end_stream,
            &is_end_stream,
        );
    }
}

fn contents(whose: &str, shape: &Shape, data: &Bytes, trailers: Option<&HeaderMap>) {
    kept(whose, "data", &shape.data(), data);
    kept(whose, "trailers", &shape.trailers(), &trailers);
}

fn kept<T: PartialEq + Debug>(whose: &str, what: &str, before: &T, after: &T) {
    if before != after {
        violated(
            Law::KeepsBodies,
            format_args!("{what} of {whose} was {before:?} and became {after:?}"),
        );
    }
}
