//! The contract of `Service`, with nothing to inject, with nothing for this request, and delayed.

use http::request::Parts;
use mesh_conformance::Conformance;
use mesh_fault::{Faults, Injection, Route, Share};
use std::{ops::RangeInclusive, time::Duration};
use tower::Layer;

/// A range whose delays all round down to nothing: timers do not go off here.
const NO_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_nanos(1);

fn check(faults: &Faults, prepare: fn(&mut Parts)) {
    Conformance::new(|inner| faults.layer().layer(inner))
        .prepare(prepare)
        .check();
}

#[tokio::test(start_paused = true)]
async fn requests_that_pass_keep_the_contract() {
    let faults = Faults::new();
    check(&faults, |_| {});
    let elsewhere = Injection::reset().with_route("elsewhere");
    faults.add(elsewhere).unwrap();
    check(&faults, |_| {});
    check(&faults, |head| {
        head.extensions.insert(Route::new("here"));
    });
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_delayed_keep_the_contract() {
    for share in [Share::ALL, Share::ratio(1, 2).unwrap()] {
        let faults = Faults::new();
        let delay = Injection::delay_between(NO_TIME).unwrap();
        faults.add(delay.with_share(share)).unwrap();
        check(&faults, |_| {});
        assert!(faults.list()[0].injected > 0);
    }
}
