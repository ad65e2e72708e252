use crate::Endpoint;
use linkerd2_proxy_api::{
    destination::{
        AuthorityOverride, TlsIdentity, WeightedAddr,
        protocol_hint::Protocol,
        tls_identity::{DnsLikeIdentity, Strategy, UriLikeIdentity},
    },
    net::TcpAddress,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The weight every address gets: which endpoint of a leaf serves is the balancer's choice.
const WEIGHT: u32 = 10_000;

/// The metric label that tells a sidecar of ours which protocol the program speaks.
const PROTOCOL: &str = "mesh_protocol";

/// The value of [`PROTOCOL`] for HTTP/2 in plain text, without an upgrade.
const H2C: &str = "h2c";

/// An address; `None` if it has no IP, or a port that is none.
pub fn addr_from_wire(addr: &TcpAddress) -> Option<SocketAddr> {
    let ip: IpAddr = addr.ip?.try_into().ok()?;
    let port = u16::try_from(addr.port).ok().filter(|port| *port != 0)?;
    (!ip.is_unspecified()).then_some(SocketAddr::new(ip, port))
}

/// An address, as the wire has it.
pub fn addr_to_wire(addr: SocketAddr) -> TcpAddress {
    TcpAddress {
        ip: Some(addr.ip().into()),
        port: addr.port().into(),
    }
}

/// An endpoint with its own labels and those of its set; `None` if it has no address.
pub fn endpoint_from_wire(
    addr: &WeightedAddr,
    set_labels: &HashMap<String, String>,
) -> Option<Endpoint> {
    let socket = addr_from_wire(addr.addr.as_ref()?)?;
    let mut labels: BTreeMap<String, String> = set_labels
        .iter()
        .chain(&addr.metric_labels)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let speaks_h2c = labels.remove(PROTOCOL).is_some_and(|it| it == H2C);
    let hint = addr.protocol_hint.as_ref();
    let hint = hint.is_some_and(|hint| matches!(hint.protocol, Some(Protocol::H2(_))));
    let mut endpoint = Endpoint::new(socket)
        .with_labels(labels)
        .with_h2(speaks_h2c || hint);
    if let Some(tls) = &addr.tls_identity {
        (endpoint.identity, endpoint.server_name) = identity_from_wire(tls);
    }
    let authority = addr.authority_override.as_ref();
    let authority = authority.map(|it| &*it.authority_override);
    endpoint.authority_override = authority.filter(|it| !it.is_empty()).map(Into::into);
    Some(endpoint)
}

/// An endpoint, as the wire has it.
///
/// That it speaks HTTP/2 is told in a label: the hint `h2` of this API promises a proxy that turns
/// `l5d-orig-proto` back into HTTP/1, and ours does not.
pub fn endpoint_to_wire(endpoint: &Endpoint) -> WeightedAddr {
    let protocol = endpoint.h2.then(|| (PROTOCOL.to_owned(), H2C.to_owned()));
    let labels = endpoint.labels.iter();
    let labels = labels.map(|(key, value)| (key.clone(), value.clone()));
    let authority = endpoint.authority_override.as_deref();
    WeightedAddr {
        addr: Some(addr_to_wire(endpoint.addr)),
        weight: WEIGHT,
        metric_labels: labels.chain(protocol).collect(),
        tls_identity: identity_to_wire(endpoint),
        authority_override: authority.map(|authority| AuthorityOverride {
            authority_override: authority.into(),
        }),
        ..WeightedAddr::default()
    }
}

/// The identity of `endpoint`. A URI without a server name is none: Linkerd's proxy would take it
/// for plain text, with a warning for each endpoint.
fn identity_to_wire(endpoint: &Endpoint) -> Option<TlsIdentity> {
    let name = endpoint.identity.as_deref()?;
    let server = endpoint.server_name.as_deref();
    let dns = |name: &str| DnsLikeIdentity { name: name.into() };
    let strategy = match name.contains("://") {
        true => Strategy::UriLikeIdentity(UriLikeIdentity { uri: name.into() }),
        false => Strategy::DnsLikeIdentity(dns(name)),
    };
    let server_name = match &strategy {
        Strategy::UriLikeIdentity(_) => dns(server?),
        Strategy::DnsLikeIdentity(_) => dns(server.unwrap_or(name)),
    };
    Some(TlsIdentity {
        strategy: Some(strategy),
        server_name: Some(server_name),
    })
}

/// The identity, and the server name where it is another.
fn identity_from_wire(tls: &TlsIdentity) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let identity: Arc<str> = match &tls.strategy {
        Some(Strategy::DnsLikeIdentity(id)) => id.name.as_str().into(),
        Some(Strategy::UriLikeIdentity(id)) => id.uri.as_str().into(),
        None => return (None, None),
    };
    let server = tls.server_name.as_ref().map(|server| &*server.name);
    let server = server.filter(|server| **server != *identity);
    (Some(identity), server.map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkerd2_proxy_api::destination::{ProtocolHint, protocol_hint::H2};

    #[test]
    fn an_endpoint_survives_the_wire() {
        let labels = BTreeMap::from([("pod".to_owned(), "a-0".to_owned())]);
        for addr in ["127.0.0.1:7001", "[::1]:7001", "[2001:db8::1]:65535"] {
            for identity in ["a.b.serviceaccount.identity", "spiffe://local/a"] {
                let endpoint = Endpoint::new(addr.parse().unwrap())
                    .with_labels(labels.clone())
                    .with_h2(true)
                    .with_identity(identity)
                    .with_server_name("a.local")
                    .with_authority_override("a.east:80");
                let wire = endpoint_to_wire(&endpoint);
                // What Linkerd's proxy would take for a promise to undo `l5d-orig-proto`.
                assert_eq!(wire.protocol_hint, None);
                assert_eq!(endpoint_from_wire(&wire, &HashMap::new()), Some(endpoint));
            }
        }
    }

    #[test]
    fn an_identity_goes_with_a_server_name_or_not_at_all() {
        let endpoint = Endpoint::new("127.0.0.1:1".parse().unwrap());
        let sent = |identity| endpoint_to_wire(&endpoint.clone().with_identity(identity));
        assert_eq!(sent("spiffe://local/a").tls_identity, None);
        let dns = sent("a.b.serviceaccount.identity").tls_identity.unwrap();
        assert_eq!(dns.server_name.unwrap().name, "a.b.serviceaccount.identity");
    }

    #[test]
    fn a_hint_of_http2_from_another_controller_is_understood() {
        let mut wire = endpoint_to_wire(&Endpoint::new("127.0.0.1:1".parse().unwrap()));
        wire.protocol_hint = Some(ProtocolHint {
            protocol: Some(Protocol::H2(H2 {})),
            opaque_transport: None,
        });
        assert!(endpoint_from_wire(&wire, &HashMap::new()).unwrap().h2);
    }

    #[test]
    fn what_is_no_address_is_no_endpoint() {
        let real = addr_to_wire("127.0.0.1:1".parse().unwrap());
        for (ip, port) in [(None, 80), (real.ip, 0), (real.ip, 65_536)] {
            assert_eq!(addr_from_wire(&TcpAddress { ip, port }), None);
        }
        let anywhere = addr_to_wire("0.0.0.0:80".parse().unwrap());
        assert_eq!(addr_from_wire(&anywhere), None);
    }

    #[test]
    fn an_endpoint_has_its_sets_labels_under_its_own() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let set = HashMap::from([pair("namespace", "shop"), pair("pod", "set")]);
        let own = BTreeMap::from([pair("pod", "own")]);
        let wire =
            endpoint_to_wire(&Endpoint::new("127.0.0.1:1".parse().unwrap()).with_labels(own));
        let labels = endpoint_from_wire(&wire, &set).unwrap().labels;
        assert_eq!(
            *labels,
            BTreeMap::from([pair("namespace", "shop"), pair("pod", "own")])
        );
    }
}
