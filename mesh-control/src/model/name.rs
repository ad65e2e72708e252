use mesh_discover::wire::split_port;
use mesh_manifest::names::check_namespace;
use std::{fmt, sync::Arc};

/// A service, as host names name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// The service.
    pub service: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
}

impl ServiceName {
    /// The service `host` names for a client in `namespace`, under the cluster's `domain`.
    ///
    /// `web`, `web.shop`, `web.shop.svc` and `web.shop.svc.<domain>` are such names, in any case
    /// and with or without a final dot. Whether there is that service is another question.
    pub fn parse(host: &str, namespace: &str, domain: &str) -> Option<Self> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let mut labels = host.splitn(4, '.');
        let service = labels.next()?;
        let namespace = labels.next().unwrap_or(namespace);
        let is_service = match (labels.next(), labels.next()) {
            (None, _) | (Some("svc"), None) => true,
            (Some("svc"), Some(rest)) => rest == domain,
            _ => false,
        };
        let is_label = |name| check_namespace(name).is_ok();
        (is_service && is_label(service) && is_label(namespace)).then(|| Self {
            service: service.into(),
            namespace: namespace.into(),
        })
    }

    /// The full name, without a port.
    pub fn fqdn(&self, domain: &str) -> String {
        format!("{}.{}.svc.{domain}", self.service, self.namespace)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.namespace)
    }
}

/// Host and port of an authority; port 80 if it names none.
pub fn host_port(authority: &str) -> (&str, u16) {
    let (host, port) = split_port(authority);
    (host, port.unwrap_or(mesh_discover::wire::DEFAULT_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_services_name_is_understood() {
        let parse = |host: &str| ServiceName::parse(host, "shop", "cluster.local");
        let web = parse("web").unwrap();
        assert_eq!(web.fqdn("cluster.local"), "web.shop.svc.cluster.local");
        for host in [
            "WEB",
            "web.shop",
            "web.shop.svc",
            "web.shop.svc.",
            "web.shop.svc.cluster.local",
            "web.shop.svc.cluster.local.",
        ] {
            assert_eq!(parse(host).as_ref(), Some(&web), "{host}");
        }
        assert_eq!(&*parse("web.other").unwrap().namespace, "other");
    }

    #[test]
    fn other_names_are_no_services() {
        for host in [
            "",
            ".",
            "127.0.0.1",
            "[::1]",
            "web.shop.pod",
            "web.shop.svc.example.com",
            "a_b.shop",
            "www.example.com",
        ] {
            let name = ServiceName::parse(host, "shop", "cluster.local");
            assert_eq!(name, None, "{host}");
        }
    }
}
