use super::*;
use api::update::Update::{Add, NoEndpoints, Remove};
use std::net::SocketAddr;

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn add(ports: &[u16]) -> api::Update {
    let addrs = ports
        .iter()
        .map(|port| wire::endpoint_to_wire(&Endpoint::new(addr(*port))))
        .collect();
    api::Update {
        update: Some(Add(api::WeightedAddrSet {
            addrs,
            ..Default::default()
        })),
    }
}

fn remove(ports: &[u16]) -> api::Update {
    let addrs = ports.iter().map(|port| wire::addr_to_wire(addr(*port)));
    api::Update {
        update: Some(Remove(api::AddrSet {
            addrs: addrs.collect(),
        })),
    }
}

fn none(exists: bool) -> api::Update {
    api::Update {
        update: Some(NoEndpoints(api::NoEndpoints { exists })),
    }
}

fn profile(name: &str, overrides: &[(&str, u32)]) -> api::DestinationProfile {
    api::DestinationProfile {
        fully_qualified_name: name.into(),
        dst_overrides: overrides
            .iter()
            .map(|(authority, weight)| api::WeightedDst {
                authority: (*authority).into(),
                weight: *weight,
                backend_ref: None,
            })
            .collect(),
        ..Default::default()
    }
}

const A: &str = "a.b.svc.cluster.local";
const A80: &str = "a.b.svc.cluster.local:80";

fn known() -> Assembly {
    let mut assembly = Assembly::new("a".into());
    assembly.profile(profile(A, &[]), true);
    assembly.update(A80, true, add(&[1, 2]));
    assembly
}

fn ports(assembly: &Assembly) -> Vec<u16> {
    let destination = assembly.destination().unwrap();
    let backends = destination.backends().iter();
    let endpoints = backends.flat_map(|backend| backend.endpoints().iter());
    endpoints.map(|endpoint| endpoint.addr.port()).collect()
}

#[test]
fn a_destination_is_complete_when_each_leaf_is_answered_for() {
    let mut assembly = Assembly::new("a".into());
    assert_eq!(assembly.destination(), None);
    assembly.profile(profile(A, &[]), true);
    assert!(!assembly.is_complete());
    assembly.update(A80, true, add(&[2, 1]));
    assert!(assembly.is_complete());

    let destination = assembly.destination().unwrap();
    assert_eq!(destination.name().map(|name| &**name), Some(A80));
    assert_eq!(destination.backends().len(), 1);
    assert_eq!(ports(&assembly), [1, 2]);
}

#[test]
fn a_name_outside_the_mesh_has_no_leaves() {
    let mut assembly = Assembly::new("example.com:443".into());
    assembly.profile(profile("", &[]), true);
    assert!(assembly.is_complete());
    assert_eq!(
        assembly.destination(),
        Some(Destination::unknown("example.com:443"))
    );
}

#[test]
fn overrides_are_the_leaves_and_their_endpoints_outlive_a_change_of_weight() {
    let mut assembly = known();
    assembly.profile(
        profile(A, &[(A80, 900), ("c.b.svc", 100), ("c.b.svc:80", 1)]),
        true,
    );
    let destination = assembly.destination().unwrap();
    let shares: Vec<_> = destination.rules()[0]
        .shares()
        .iter()
        .map(|share| {
            let backend = destination.backend(share.backend()).unwrap();
            (&**backend.name(), share.weight(), backend.endpoints().len())
        })
        .collect();
    assert_eq!(shares, [(A80, 900, 2), ("c.b.svc:80", 101, 0)]);
    assert!(!assembly.is_complete());

    assembly.profile(profile(A, &[("x:1", 0)]), true);
    assert_eq!(ports(&assembly), [1, 2]);
}

#[test]
fn updates_add_and_remove() {
    let mut assembly = known();
    assembly.update(A80, false, add(&[3]));
    assembly.update(A80, false, remove(&[1, 9]));
    assert_eq!(ports(&assembly), [2, 3]);
    assembly.update("gone:80", false, add(&[4]));
    assert_eq!(ports(&assembly), [2, 3]);
    assembly.update(A80, false, none(false));
    let backend = assembly.destination().unwrap().backends()[0].clone();
    assert!(backend.endpoints().is_empty() && !backend.exists());
}

#[test]
fn the_first_answer_of_a_new_stream_replaces_what_the_old_one_said() {
    let mut assembly = known();
    assembly.update(A80, true, add(&[2, 3]));
    assert_eq!(ports(&assembly), [2, 3]);
}

#[test]
fn an_empty_or_unreadable_update_takes_no_endpoint_away() {
    let mut assembly = known();
    assembly.update(A80, true, add(&[]));
    assembly.update(A80, false, add(&[0]));
    assembly.update(A80, false, api::Update { update: None });
    assert_eq!(ports(&assembly), [1, 2]);
    assert_eq!(assembly.take_ignored(), 3);
    // The stream's first real answer still replaces everything.
    assembly.update(A80, false, add(&[5]));
    assert_eq!(ports(&assembly), [5]);
}

#[test]
fn removals_of_a_new_stream_wait_for_the_grace_period() {
    let mut assembly = known();
    assembly.update(A80, true, none(false));
    assembly.profile(profile("", &[]), true);
    assert!(assembly.removal_pending_since().is_some());
    assert_eq!(ports(&assembly), [1, 2]);

    // The controller corrects itself within the grace period.
    assembly.profile(profile(A, &[]), false);
    assert!(assembly.removal_pending_since().is_some());
    assembly.update(A80, false, add(&[3]));
    assert!(assembly.removal_pending_since().is_none());
    assert_eq!(ports(&assembly), [3]);

    // The grace period passes.
    assembly.update(A80, true, none(true));
    assembly.profile(profile("", &[]), true);
    assembly.apply_overdue_removals(Duration::ZERO);
    assert!(assembly.removal_pending_since().is_none());
    assert_eq!(assembly.destination(), Some(Destination::unknown("a")));
}

#[test]
fn a_pending_removal_ends_with_its_stream() {
    let mut assembly = known();
    assembly.update(A80, true, none(false));
    assembly.profile(profile("", &[]), true);
    assembly.profile_ended();
    assert!(assembly.removal_pending_since().is_some());
    assembly.apply_overdue_removals(Duration::MAX);
    assert!(assembly.removal_pending_since().is_some());
    assembly.leaf_ended(A80);
    assembly.leaf_ended("gone:80");
    assert!(assembly.removal_pending_since().is_none());
    assembly.apply_overdue_removals(Duration::ZERO);
    assert_eq!(ports(&assembly), [1, 2]);
    // The first answer of the next stream still replaces the endpoints.
    assembly.update(A80, true, add(&[3]));
    assert_eq!(ports(&assembly), [3]);
}

#[test]
fn later_removals_of_a_stream_apply_at_once() {
    let mut assembly = known();
    assembly.update(A80, true, add(&[1]));
    assembly.update(A80, false, none(true));
    assert!(ports(&assembly).is_empty());
    assembly.profile(profile(A, &[]), true);
    assembly.profile(profile("", &[]), false);
    assert_eq!(assembly.destination(), Some(Destination::unknown("a")));
    assert!(assembly.removal_pending_since().is_none());
}

#[test]
fn an_unchanged_list_keeps_its_address() {
    let mut assembly = known();
    let before = assembly.destination().unwrap();
    assembly.update(A80, true, add(&[1, 2]));
    let after = assembly.destination().unwrap();
    assert!(Arc::ptr_eq(
        before.backends()[0].endpoints(),
        after.backends()[0].endpoints()
    ));
}

#[test]
fn the_address_of_one_endpoint_is_that_endpoint() {
    let mut assembly = Assembly::new("127.0.0.1:7".into());
    let mut message = profile(A, &[]);
    message.endpoint = Some(wire::endpoint_to_wire(&Endpoint::new(addr(7))));
    assembly.profile(message, true);
    assert!(assembly.is_complete());
    assert_eq!(ports(&assembly), [7]);
}
