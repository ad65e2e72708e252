//! Between the messages of `linkerd2-proxy-api` and the types of this workspace; and [`mesh_v1`],
//! for what those messages cannot say.
//!
//! Only controllers need this module. It is the one place whose signatures name wire types.

mod destination;
mod endpoint;
mod matches;
pub mod mesh_v1;
mod profile;
mod weights;

pub use self::{
    destination::{destination_from_wire, rule_from_wire},
    endpoint::{addr_from_wire, addr_to_wire, endpoint_from_wire, endpoint_to_wire},
    profile::{overrides_to_wire, profile_from_wire, profile_to_wire},
};
use linkerd2_proxy_api::destination as api;

/// The port of an authority that names none.
pub const DEFAULT_PORT: u16 = 80;

/// The full name and port of the destination that `profile` answers for, if it has a name.
///
/// The wire has the name alone; the port is that of the `authority` asked for.
pub fn name(profile: &api::DestinationProfile, authority: &str) -> Option<String> {
    let name = profile.fully_qualified_name.trim_end_matches('.');
    (!name.is_empty()).then(|| self::authority(name, authority))
}

/// `name` with its own port, or that of `asked`, or 80; without the final dot of its host.
pub fn authority(name: &str, asked: &str) -> String {
    let (host, port) = split_port(name);
    let port = port.or_else(|| split_port(asked).1).unwrap_or(DEFAULT_PORT);
    format!("{}:{port}", host.trim_end_matches('.'))
}

/// Host and port of an authority; brackets of an IPv6 address stay.
pub fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_the_port_that_was_asked_for_unless_it_has_one() {
        for (name, asked, full) in [
            ("a.b.svc", "a:7001", "a.b.svc:7001"),
            ("a.b.svc.:8080", "a:7001", "a.b.svc:8080"),
            ("a.b.svc", "a", "a.b.svc:80"),
            ("a.b.svc", "[::1]:90", "a.b.svc:90"),
            ("a.b.svc", "::1", "a.b.svc:80"),
        ] {
            assert_eq!(authority(name, asked), full);
        }
    }

    #[test]
    fn an_answer_without_a_name_is_for_a_name_unknown() {
        let mut profile = api::DestinationProfile::default();
        assert_eq!(name(&profile, "example.com:443"), None);
        profile.fully_qualified_name = "a.b.svc.cluster.local.".into();
        assert_eq!(
            name(&profile, "a:7001").as_deref(),
            Some("a.b.svc.cluster.local:7001")
        );
    }
}
