use crate::{
    Conformance, Law, Mock, MockReply, Shape,
    conformance::{Subject, exchange, finish, ready, succeed},
    drive::Task,
    law::{expect_broken, violated},
};
use std::pin::pin;

/// Checks that errors of the inner service reach the caller and release all permits.
pub(crate) fn errors<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    of_readiness(conformance);
    of_a_call(conformance);
    between_two_attempts(conformance);
}

fn of_readiness<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    mock.break_after(0);
    let mut task = Task::new();
    let request = || conformance.request(&mock, &Shape::of(["request"]));
    let error = match ready(&mut task, &mut service) {
        Ok(Err(error)) => Some(error),
        _ if conformance.waits_in_call() => {
            let future = service.call(request());
            let result = finish::<S>(&mut task, pin!(future));
            result.ok().and_then(Result::err)
        }
        _ => None,
    };
    match error {
        Some(error) => expect_broken(error, "readiness"),
        None => violated(
            Law::SurfacesErrors,
            "its inner service can not become ready, and it says that it is",
        ),
    }
    mock.assert_idle("after an error of readiness");
}

fn of_a_call<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    // Enough answers for middleware that retries.
    mock.answer((0..64).map(|_| MockReply::Error));
    let req = conformance.request(&mock, &Shape::of(["request"]));
    match exchange(&mut service, req) {
        Err(error) => expect_broken(error, "a call"),
        Ok(_) => violated(
            Law::SurfacesErrors,
            "its inner service failed, and it answered well",
        ),
    }
    mock.assert_idle("after an error");

    let (mock, mut service) = conformance.bench(1);
    mock.answer([MockReply::Error]);
    let _ = exchange(&mut service, conformance.request(&mock, &Shape::empty()));
    succeed(
        &mut service,
        conformance.request(&mock, &Shape::empty()),
        "after an error",
    );
    mock.assert_idle("after an error and a success");
}

/// A failure, and an inner service that breaks before it could be asked again.
fn between_two_attempts<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    mock.answer([MockReply::Response(503, Shape::of(["failed"]))]);
    mock.break_after(1);
    let req = conformance.request(&mock, &Shape::of(["request"]));
    match exchange(&mut service, req) {
        Ok(whole) if whole.head.status == 503 => {}
        Ok(whole) => violated(
            Law::SurfacesErrors,
            format_args!("a failure became {}", whole.head.status),
        ),
        Err(error) => expect_broken(error, "readiness"),
    }
    mock.assert_idle("after a failure that could not be sent again");
}
