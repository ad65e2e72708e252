use crate::{
    Conformance, Law, Mock, MockReply, Shape, StrictBody,
    conformance::{Subject, finish, ready, succeed},
    drive::{Stopped, Task},
    law::violated,
};
use http::Request;
use std::pin::pin;

/// Largest number of polls; an exchange with more never ends.
const MAX_STEPS: usize = 10_000;

/// Checks that an exchange releases everything when it is dropped after any of its polls.
pub(crate) fn cancellation<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let failed = || MockReply::Response(503, Shape::of(["failed, ", "alas"]));
    let good = Shape::of(["a ", "long ", "answer"]).with_trailer("at last");
    let stories: [&[MockReply]; 4] = [
        &[MockReply::Response(200, good.clone())],
        &[failed(), MockReply::Response(200, good)],
        &[MockReply::Error, failed()],
        &[MockReply::Response(200, Shape::of(["half"]).breaking())],
    ];
    for story in stories {
        // An exchange can be dropped after each poll that left it pending.
        let dropped = |steps: &usize| dropped_after(conformance, story, *steps);
        if (0..MAX_STEPS).find(|steps| !dropped(steps)).is_none() {
            violated(Law::Wakes, "an exchange does not end");
        }
    }
}

/// Drops the exchange after `steps` polls; returns true if it was still pending.
fn dropped_after<F, S>(conformance: &Conformance<F>, story: &[MockReply], steps: usize) -> bool
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, service) = conformance.bench(1);
    mock.answer(story.iter().cloned());
    let mut clone = service.clone();
    let req = conformance.request(&mock, &Shape::of(["a ", "request"]).with_trailer("its end"));
    let (service, stopped) = stop(service, req, &mut Task::of_steps(steps));

    let when = format!("dropped after {steps} polls");
    mock.assert_idle(&when);
    let calls = mock.calls();
    let allowed = if conformance.may_send_again() {
        story.len() + 1
    } else {
        1
    };
    if calls > allowed {
        violated(
            Law::SendsOnce,
            format_args!("{when}, a request had been sent {calls} times"),
        );
    }
    for seen in mock.seen() {
        if (&seen.data[..], seen.trailers.is_some()) != (b"a request", true) {
            violated(
                Law::KeepsBodies,
                format_args!("{when}, an attempt had sent {:?}", seen.data),
            );
        }
    }
    // The following calls are not part of the story.
    mock.answer_well();
    let request = || conformance.request(&mock, &Shape::empty());
    succeed(&mut clone, request(), &when);
    if let Some(mut service) = service {
        succeed(&mut service, request(), &when);
    }
    mock.assert_idle("after a call that followed one that was dropped");
    stopped
}

/// Runs an exchange until `task` stops, and drops it. Returns the service, unless it was dropped
/// while it waited for readiness.
fn stop<S: Subject>(
    mut service: S,
    req: Request<StrictBody>,
    task: &mut Task,
) -> (Option<S>, bool) {
    match ready(task, &mut service) {
        Err(Stopped) => return (None, true),
        Ok(Err(_)) => return (None, false),
        Ok(Ok(())) => {}
    }
    let stopped = {
        let future = service.call(req);
        finish::<S>(task, pin!(future)).is_err()
    };
    (Some(service), stopped)
}
