//! The contract of `Service`, for every way of choosing.

use http::Request;
use mesh_conformance::{Conformance, StrictBody};
use mesh_split::{Leaf, Split};

#[test]
fn a_split_keeps_the_contract() {
    Conformance::new(|inner| Split::new([(inner.clone(), 90), (inner, 10)]).unwrap())
        .chooses_in_call()
        .check();
}

#[test]
fn a_sticky_split_keeps_the_contract() {
    Conformance::new(|inner| {
        let leaves = [
            Leaf::new(inner.clone(), 1).named("one"),
            Leaf::new(inner, 1).named("two"),
        ];
        let split = Split::new(leaves).unwrap();
        split.sticky_by(|req: &Request<StrictBody>| {
            let path = req.uri().path();
            Some(mesh_split::subject(path))
        })
    })
    .chooses_in_call()
    .check();
}

#[test]
fn a_split_whose_leaves_are_unavailable_keeps_the_contract() {
    Conformance::new(|inner| {
        let split = Split::new([(inner.clone(), 1), (inner, 1)]).unwrap();
        split.available_if(|_| false)
    })
    .chooses_in_call()
    .check();
}
