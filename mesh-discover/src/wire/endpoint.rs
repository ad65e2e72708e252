use crate::Endpoint;
use linkerd2_proxy_api::{
    destination::{
        ProtocolHint, TlsIdentity, WeightedAddr,
        protocol_hint::{H2, Protocol},
        tls_identity::{DnsLikeIdentity, Strategy, UriLikeIdentity},
    },
    net::TcpAddress,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

/// The weight every address gets: which endpoint of a leaf serves is the balancer's choice.
const WEIGHT: u32 = 10_000;

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
    let labels: BTreeMap<String, String> = set_labels
        .iter()
        .chain(&addr.metric_labels)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let hint = addr.protocol_hint.as_ref();
    let h2 = hint.is_some_and(|hint| matches!(hint.protocol, Some(Protocol::H2(_))));
    let mut endpoint = Endpoint::new(socket).with_labels(labels).with_h2(h2);
    let identity = addr.tls_identity.as_ref();
    endpoint.identity = match identity.and_then(|identity| identity.strategy.as_ref()) {
        Some(Strategy::DnsLikeIdentity(id)) => Some(id.name.as_str().into()),
        Some(Strategy::UriLikeIdentity(id)) => Some(id.uri.as_str().into()),
        None => None,
    };
    Some(endpoint)
}

/// An endpoint, as the wire has it.
pub fn endpoint_to_wire(endpoint: &Endpoint) -> WeightedAddr {
    let protocol_hint = endpoint.h2.then_some(ProtocolHint {
        protocol: Some(Protocol::H2(H2 {})),
        opaque_transport: None,
    });
    WeightedAddr {
        addr: Some(addr_to_wire(endpoint.addr)),
        weight: WEIGHT,
        metric_labels: endpoint
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        tls_identity: endpoint.identity.as_deref().map(identity_to_wire),
        protocol_hint,
        ..WeightedAddr::default()
    }
}

fn identity_to_wire(name: &str) -> TlsIdentity {
    let (strategy, server_name) = if name.contains("://") {
        (
            Strategy::UriLikeIdentity(UriLikeIdentity { uri: name.into() }),
            None,
        )
    } else {
        let id = DnsLikeIdentity { name: name.into() };
        (Strategy::DnsLikeIdentity(id.clone()), Some(id))
    };
    TlsIdentity {
        strategy: Some(strategy),
        server_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_survives_the_wire() {
        let labels = BTreeMap::from([("pod".to_owned(), "a-0".to_owned())]);
        for addr in ["127.0.0.1:7001", "[::1]:7001", "[2001:db8::1]:65535"] {
            for identity in ["a.b.serviceaccount.identity", "spiffe://local/a"] {
                let endpoint = Endpoint::new(addr.parse().unwrap())
                    .with_labels(labels.clone())
                    .with_h2(true)
                    .with_identity(identity);
                let wire = endpoint_to_wire(&endpoint);
                assert_eq!(endpoint_from_wire(&wire, &HashMap::new()), Some(endpoint));
            }
        }
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
