//! Rolling restarts at a steady rate of requests, none of which may fail or be processed twice.
//!
//! `MESH_RESTARTS` and `MESH_RATE` make it longer and harder, `MESH_PROGRAM` tests another build of
//! `mesh`: see `cargo xtask soak --restarts N`.

mod support;

use std::{collections::BTreeSet, env, fs, time::Duration};
use support::steady::{Steady, answering};

/// Of the service that is restarted.
const REPLICAS: u64 = 5;

/// Requests a second that two busy cores bear with ease, without optimisation.
const RATE: u64 = 500;

#[test]
fn rolling_restarts_at_a_steady_rate_lose_no_request_and_repeat_no_post() {
    let restarts = number("MESH_RESTARTS", 30).next_multiple_of(REPLICAS);
    let rate = number("MESH_RATE", RATE);
    let (mesh, targets) = answering(REPLICAS);
    let load = Steady::start(u32::try_from(rate).expect("a rate"), &targets);
    std::thread::sleep(Duration::from_secs(2));
    for round in 1..=restarts / REPLICAS {
        mesh.ok(&["restart", "answer"]);
        let tally = load.tally();
        println!("{} restarts: {tally:?}", round * REPLICAS);
    }
    std::thread::sleep(Duration::from_secs(1));
    let tally = load.stop();
    println!("{tally:?}");

    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(tally.gets + tally.posts, tally.sent);
    assert!(tally.rate() > 0.9 * rate as f64, "the load was not steady");
    let starts = fs::read_to_string(mesh.folder().join("starts")).expect("there were some");
    assert_eq!(starts.lines().count() as u64, REPLICAS + restarts);
    let posts = fs::read_to_string(mesh.folder().join("posts")).expect("there were some");
    let once: BTreeSet<_> = posts.lines().collect();
    assert_eq!(once.len() as u64, tally.posts);
    assert_eq!(posts.lines().count(), once.len(), "a POST was sent twice");
    mesh.down();
}

fn number(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}
