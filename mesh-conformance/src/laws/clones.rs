use crate::{
    Conformance, Law, Mock, Shape,
    conformance::{Subject, finish, ready, succeed},
    drive::Task,
    law::violated,
};
use std::pin::pin;

/// Checks that readiness of one clone is neither shared nor lost.
pub(crate) fn clones<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    a_clone_of_a_ready_service_is_not_ready(conformance);
    a_clone_outlives_the_original(conformance);
    two_clones_work_at_once(conformance);
}

fn a_clone_of_a_ready_service_is_not_ready<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut original) = conformance.bench(1);
    let mut task = Task::new();
    let _ = ready(&mut task, &mut original);
    let mut clone = original.clone();
    let mut other = Task::new();
    let poll = other.exhaust(|cx| clone.poll_ready(cx));
    if poll.is_ready() && !conformance.waits_in_call() {
        violated(
            Law::SurvivesClones,
            "a clone of a ready service was ready without having been polled",
        );
    }
    {
        // The original is ready still, and this panics if it calls anything else.
        let req = conformance.request(&mock, &Shape::of(["original"]));
        let future = original.call(req);
        if let Ok(Err(error)) = finish::<S>(&mut task, pin!(future)) {
            violated(
                Law::SurvivesClones,
                format_args!("once it was cloned, it failed: {error}"),
            );
        }
    }
    if !conformance.waits_in_call() && !other.is_woken() {
        violated(
            Law::Wakes,
            "a permit came back, and the clone that waited for it was not woken",
        );
    }
    succeed(
        &mut clone,
        conformance.request(&mock, &Shape::of(["clone"])),
        "when its original was done",
    );
    mock.assert_idle("after a service and its clone were called");
}

fn a_clone_outlives_the_original<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut original) = conformance.bench(1);
    let _ = ready(&mut Task::new(), &mut original);
    let mut clone = original.clone();
    drop(original);
    mock.assert_idle("after a ready service was dropped, with a clone left");
    succeed(
        &mut clone,
        conformance.request(&mock, &Shape::of(["clone"])),
        "when its original was gone",
    );
}

fn two_clones_work_at_once<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut one) = conformance.bench(2);
    let mut two = one.clone();
    let mut tasks = [Task::new(), Task::new()];
    let _ = ready(&mut tasks[0], &mut one);
    let _ = ready(&mut tasks[1], &mut two);
    {
        let first = one.call(conformance.request(&mock, &Shape::of(["one"])));
        let second = two.call(conformance.request(&mock, &Shape::of(["two"])));
        let mut first = pin!(first);
        // The first is under way when the second overtakes it.
        let _ = tasks[0].poll(|cx| first.as_mut().poll(cx)).is_ready();
        let _ = finish::<S>(&mut tasks[1], pin!(second));
        let _ = finish::<S>(&mut Task::new(), first);
    }
    mock.assert_idle("after two clones were called at once");
    let mut bodies: Vec<_> = mock.seen().into_iter().map(|seen| seen.data).collect();
    bodies.sort();
    if bodies != ["one", "two"] {
        violated(
            Law::SendsOnce,
            format_args!("two clones sent one request each, and the bodies {bodies:?} arrived"),
        );
    }
}
