use super::{authority, endpoint_from_wire, name, profile_from_wire};
use crate::{Destination, Endpoint, Protocol, RouteRule};
use linkerd2_proxy_api::destination as api;
use mesh_profile::Profile;

/// The most leaves of a destination that are followed: what exceeds them is ignored with a warning,
/// so that a controller gone mad cannot exhaust the memory.
const MAX_LEAVES: usize = 128;

/// The destination that a message describes, asked for as `asked`, still without backends; and the
/// endpoint itself, if `asked` is the address of one.
pub fn destination_from_wire(
    message: &api::DestinationProfile,
    asked: &str,
) -> (Destination, Option<Endpoint>) {
    let (profile, problems) = Profile::compile_typed(profile_from_wire(message));
    for problem in problems {
        tracing::warn!(authority = asked, %problem, "part of a profile is ignored");
    }
    let protocol = match message.opaque_protocol {
        true => Protocol::Opaque,
        false => Protocol::Detect,
    };
    let destination = match name(message, asked) {
        Some(name) => {
            let rule = rule_from_wire(message, &name, asked);
            Destination::named(asked, name).with_rules([rule])
        }
        None => Destination::unknown(asked),
    };
    let endpoint = message.endpoint.as_ref();
    let endpoint = endpoint.and_then(|addr| endpoint_from_wire(addr, &Default::default()));
    let destination = destination.with_profile(profile).with_protocol(protocol);
    (destination, endpoint)
}

/// The rule of the service `name` (with port): the overrides of the message, for all requests.
pub fn rule_from_wire(message: &api::DestinationProfile, name: &str, asked: &str) -> RouteRule {
    let overrides = message.dst_overrides.iter();
    if overrides.len() > MAX_LEAVES {
        tracing::warn!(authority = asked, "more than {MAX_LEAVES} leaves");
    }
    let split = overrides
        .take(MAX_LEAVES)
        .map(|dst| (authority(&dst.authority, asked), dst.weight));
    let rule = RouteRule::of_service(name, split);
    match rule.shares() {
        // The override of a service to itself says that nothing splits it.
        [only] if **only.backend() == *name => RouteRule::to(name),
        _ => rule,
    }
}
