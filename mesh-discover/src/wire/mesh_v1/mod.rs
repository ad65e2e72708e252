//! `mesh.v1`, gRPC services beside Linkerd's: `Registry` registers programs without a sidecar, and
//! `Faults` tells sidecars which faults to inject.
//!
//! Both are written by hand, so that the build needs no `protoc`; `registry.proto` and `faults.proto`
//! beside this file are the same in protobuf. With a controller that lacks the service, a program still follows its
//! destinations, but is not listed.
//!
//! # The stream
//!
//! A registration ends with its stream. The first message identifies the replica, and the
//! controller answers with its name. Later messages contain the whole state of the replica, or its
//! metrics. A program that closes its half of the stream is removed at once; one whose connection
//! breaks is removed after a few seconds.

mod client;
mod faults;
mod server;

pub use self::{
    client::register,
    faults::{
        Delay, Fault, FaultSet, Faults, FaultsServer, Kind, Reset, WHOLE_SHARE, WatchFaultsRequest,
        fault_from_wire, fault_to_wire, watch_faults,
    },
    server::{Registry, RegistryServer},
};

/// Maximum size of a message in either direction, in bytes. Only metrics come close.
pub const MAX_MESSAGE: usize = 4 << 20;

/// A message of a program. At least one field is set.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterRequest {
    /// The replica, in the first message and whenever its state has changed.
    #[prost(message, optional, tag = "1")]
    pub replica: Option<Replica>,
    /// All metrics since the program started, in the Prometheus text format.
    #[prost(string, optional, tag = "2")]
    pub metrics: Option<String>,
}

/// The controller's answer to each [`RegisterRequest::replica`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterResponse {
    /// The namespace of the replica.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The name of the replica.
    #[prost(string, tag = "2")]
    pub pod: String,
}

/// A replica of a workload.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Replica {
    /// Namespace, an RFC 1123 label; the mesh's namespace if empty.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The workload, and the service if it is one: an RFC 1035 label.
    #[prost(string, tag = "2")]
    pub workload: String,
    /// The replica: an RFC 1123 label. If empty, the controller chooses `workload-N`.
    #[prost(string, tag = "3")]
    pub pod: String,
    /// Random number of the process, the same on all its streams: it tells a reconnect from another
    /// process with the same name.
    #[prost(fixed64, tag = "4")]
    pub instance: u64,
    /// Process id; 0 if unknown.
    #[prost(uint32, tag = "5")]
    pub pid: u32,
    /// The service that the replica provides; absent if none.
    #[prost(message, optional, tag = "6")]
    pub service: Option<Service>,
    /// The state of the replica.
    #[prost(enumeration = "State", tag = "7")]
    pub state: i32,
}

/// The service that a replica is part of.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Service {
    /// The port callers name, above zero; the same for all replicas of a workload.
    #[prost(uint32, tag = "1")]
    pub port: u32,
    /// Listen address of this replica, `ip:port`.
    #[prost(string, tag = "2")]
    pub addr: String,
    /// Protocol on that address.
    #[prost(enumeration = "Protocol", tag = "3")]
    pub protocol: i32,
}

/// Readiness of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum State {
    /// It accepts requests.
    Ready = 0,
    /// It accepts no requests at the moment.
    Unready = 1,
    /// It finishes requests in flight and accepts no new ones.
    Draining = 2,
}

/// Protocol of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Protocol {
    /// HTTP/1.
    Http1 = 0,
    /// HTTP/2 with prior knowledge, as gRPC needs.
    H2 = 1,
    /// Opaque bytes instead of HTTP.
    Opaque = 2,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn the_numbers_on_the_wire_are_those_of_the_proto_file() {
        let request = RegisterRequest {
            replica: Some(Replica {
                namespace: "n".into(),
                workload: "w".into(),
                pod: "p".into(),
                instance: 1,
                pid: 2,
                service: Some(Service {
                    port: 80,
                    addr: "a".into(),
                    protocol: Protocol::H2.into(),
                }),
                state: State::Draining.into(),
            }),
            metrics: Some("m".into()),
        };
        #[rustfmt::skip]
        let bytes = [
            0x0a, 0x1f,
            0x0a, 1, b'n', 0x12, 1, b'w', 0x1a, 1, b'p', 0x21, 1, 0, 0, 0, 0, 0, 0, 0, 0x28, 2,
            0x32, 7, 0x08, 80, 0x12, 1, b'a', 0x18, 1,
            0x38, 2,
            0x12, 1, b'm',
        ];
        assert_eq!(request.encode_to_vec(), bytes);
        assert_eq!(RegisterRequest::decode(&bytes[..]).unwrap(), request);

        let proto = include_str!("registry.proto");
        for line in [
            "Replica replica = 1;",
            "optional string metrics = 2;",
            "fixed64 instance = 4;",
            "uint32 pid = 5;",
            "Service service = 6;",
            "State state = 7;",
            "Protocol protocol = 3;",
            "DRAINING = 2;",
            "OPAQUE = 2;",
            "rpc Register(stream RegisterRequest) returns (stream RegisterResponse);",
        ] {
            assert!(proto.contains(line), "{line}");
        }
    }
}
