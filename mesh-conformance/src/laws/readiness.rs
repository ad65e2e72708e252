use crate::{
    Conformance, Law, Mock, Shape,
    conformance::{Subject, finish, succeed},
    drive::Task,
    law::violated,
};
use std::pin::pin;

/// Ready means ready, pending means woken later, and neither is remembered.
pub(crate) fn readiness<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    if conformance.waits_in_call() {
        in_call(conformance);
    } else {
        passed_on(conformance);
    }
}

fn passed_on<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    let mut task = Task::new();
    for when in ["at first", "after a call"] {
        let held = mock.hold_all();
        if task.exhaust(|cx| service.poll_ready(cx)).is_ready() {
            violated(
                Law::PollsBeforeItCalls,
                format_args!("{when}, it was ready, and its inner service was not"),
            );
        }
        drop(held);
        if !task.is_woken() {
            violated(
                Law::Wakes,
                format_args!("{when}, its inner service became ready, and it was not woken"),
            );
        }
        // Asking again takes nothing more: there is one permit.
        for _ in 0..2 {
            if task.exhaust(|cx| service.poll_ready(cx)).is_pending() {
                violated(
                    Law::PollsBeforeItCalls,
                    format_args!("{when}, its inner service was ready, and it was not"),
                );
            }
        }
        let req = conformance.request(&mock, &Shape::of(["request"]));
        let future = service.call(req);
        let _ = finish::<S>(&mut task, pin!(future));
        mock.assert_idle("after an exchange");
    }

    while task.exhaust(|cx| service.poll_ready(cx)).is_pending() {}
    drop(service);
    mock.assert_idle("after a service was dropped that was ready");
}

fn in_call<F, S>(conformance: &Conformance<F>)
where
    F: Fn(Mock) -> S,
    S: Subject,
{
    let (mock, mut service) = conformance.bench(1);
    let mut task = Task::new();
    if task.exhaust(|cx| service.poll_ready(cx)).is_pending() {
        violated(
            Law::PollsBeforeItCalls,
            "it was said to choose in `call`, and waited in `poll_ready`",
        );
    }
    mock.assert_idle("after `poll_ready` of a service that chooses in `call`");
    let held = mock.hold_all();
    {
        let req = conformance.request(&mock, &Shape::of(["request"]));
        let mut future = pin!(service.call(req));
        if task.exhaust(|cx| future.as_mut().poll(cx)).is_ready() {
            violated(
                Law::PollsBeforeItCalls,
                "it answered while no inner service was ready",
            );
        }
        drop(held);
        if !task.is_woken() {
            violated(
                Law::Wakes,
                "its inner service became ready, and its future was not woken",
            );
        }
        let _ = finish::<S>(&mut task, future);
    }
    mock.assert_idle("after an exchange");
    succeed(
        &mut service,
        conformance.request(&mock, &Shape::empty()),
        "after a wait",
    );
}
