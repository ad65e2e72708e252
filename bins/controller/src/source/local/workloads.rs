//! `run/workloads.json`: the running workloads, written by `mesh up` and followed by the controller.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The workloads of a mesh, as they are at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workloads {
    /// Grows with each writing.
    pub generation: u64,
    /// The namespace of the mesh, the default of commands.
    pub namespace: String,
    /// All workloads, of whatever namespace.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// The sidecar that serves the host ports.
    #[serde(default)]
    pub gateway: Option<Gateway>,
}

/// A program and its replicas; a deployment, in the words of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The name of its service, if it is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The port of its service; without one it has no service.
    #[serde(default)]
    pub service_port: Option<u16>,
    /// Further ports of its service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_ports: Vec<u16>,
    /// The addresses of its service, if it has any: a call to one of them is a call to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Hash of the command, environment and files that its replicas shall run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Number of replicas that shall run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// Its replicas, started or not.
    #[serde(default)]
    pub replicas: Vec<Replica>,
}

impl Workload {
    /// The name of its service, if it has one.
    pub fn service(&self) -> Option<&str> {
        self.service_port?;
        Some(self.service.as_deref().unwrap_or(&self.name))
    }

    /// The ports of its service, the main one first.
    pub fn service_ports(&self) -> impl Iterator<Item = u16> {
        let further = self.further_ports.iter().copied();
        let further = further.filter(|_| self.service_port.is_some());
        self.service_port.into_iter().chain(further)
    }

    /// The replicas that take requests.
    pub fn ready(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.is_ready())
    }
}

/// One process of a workload, with its sidecar; a pod, in the words of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its name, as in `authors-0`.
    pub pod: String,
    /// It answers its readiness probe.
    #[serde(default)]
    pub ready: bool,
    /// It finishes open requests and takes no new ones.
    #[serde(default)]
    pub draining: bool,
    /// The address on which its sidecar, or the program itself without one, takes requests; `None`
    /// if it serves nothing.
    #[serde(default)]
    pub inbound: Option<SocketAddr>,
    /// The admin address of its sidecar.
    #[serde(default)]
    pub admin: Option<SocketAddr>,
    /// The process of the program itself, while it runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The protocol on its port, if that is known.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// Where requests for the further ports of its service are taken, on the same address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Served>,
    /// The revision of the workload that it runs, if one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Hash of the command, environment and files that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The program does a sidecar's part itself, and has registered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub embedded: bool,
}

impl Replica {
    /// Returns true if bytes are carried to it for the port `port` of the service of `of`.
    pub fn is_opaque(&self, of: &Workload, port: u16) -> bool {
        let protocol = match of.service_port == Some(port) {
            true => self.protocol,
            false => {
                let mut further = self.further.iter();
                further
                    .find(|it| it.port == port)
                    .and_then(|it| it.protocol)
            }
        };
        protocol == Some(Protocol::Opaque)
    }

    /// Returns true if requests may be sent to it.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.draining && self.inbound.is_some()
    }
}

/// Where a replica serves a further port of its service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The port of the service.
    pub port: u16,
    /// The address on which its sidecar takes requests.
    pub inbound: SocketAddr,
    /// The protocol, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// The protocol that a program speaks on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.
    Http1,
    /// HTTP/2 without being asked, as gRPC needs.
    #[serde(alias = "h2c", alias = "http2", alias = "grpc")]
    H2,
    /// Not HTTP: bytes.
    #[serde(alias = "tcp")]
    Opaque,
}

/// The sidecar that serves the host ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its admin address.
    pub admin: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_mesh_up_is_read() {
        let text = r#"{"generation": 7, "namespace": "booksapp", "workloads": [
            {"name": "authors", "namespace": "booksapp", "service_port": 7001, "replicas": [
                {"pod": "authors-0", "ready": true, "inbound": "127.0.0.1:41001",
                 "admin": "127.0.0.1:41002", "pid": 123, "draining": false, "protocol": null},
                {"pod": "authors-1", "ready": true, "inbound": "127.0.0.1:41003", "draining": true}
            ]},
            {"name": "traffic", "namespace": "booksapp", "service_port": null, "replicas": [
                {"pod": "traffic-0", "ready": true, "inbound": null, "admin": "127.0.0.1:41004"}
            ]}
        ], "gateway": {"admin": "127.0.0.1:41100"}}"#;
        let workloads: Workloads = serde_json::from_str(text).unwrap();
        let ready: Vec<_> = workloads
            .workloads
            .iter()
            .flat_map(Workload::ready)
            .map(|replica| replica.pod.as_str())
            .collect();
        assert_eq!(ready, ["authors-0"]);
        let again = serde_json::to_string(&workloads).unwrap();
        assert_eq!(
            serde_json::from_str::<Workloads>(&again).unwrap(),
            workloads
        );
    }

    #[test]
    fn a_service_has_the_name_of_its_workload_unless_it_says_otherwise() {
        for (text, service) in [
            (
                r#"{"name": "a", "namespace": "n", "service_port": 1}"#,
                Some("a"),
            ),
            (
                r#"{"name": "a", "namespace": "n", "service_port": 1, "service": "b"}"#,
                Some("b"),
            ),
            (r#"{"name": "a", "namespace": "n", "service": "b"}"#, None),
        ] {
            let workload: Workload = serde_json::from_str(text).unwrap();
            assert_eq!(workload.service(), service, "{text}");
        }
    }
}
