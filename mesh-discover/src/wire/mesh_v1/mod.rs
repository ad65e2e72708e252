//! `mesh.v1`, our own service beside Linkerd's: programs that are in the mesh without a sidecar.
//!
//! Written by hand, so that nobody needs `protoc`; `registry.proto` beside this file says the
//! same in the language of protobuf. A controller may lack the service, and then a program that
//! registers still follows its destinations; nobody sees it, that is all.
//!
//! # The stream
//!
//! A registration lives as long as its stream. The first message says which replica it is, and
//! the controller answers with the name that it goes by from now on. Later messages say how the
//! replica is, whole each time, or what it has counted. Whoever ends its half of the stream is
//! gone at once; whoever just falls silent is missed for a short while first.

mod client;
mod server;

pub use self::{
    client::register,
    server::{Registry, RegistryServer},
};

/// The longest message either side takes, in bytes; all but metrics are far below.
pub const MAX_MESSAGE: usize = 4 << 20;

/// What a program says. At least one member is there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterRequest {
    /// The replica, in the first message and whenever its state has changed.
    #[prost(message, optional, tag = "1")]
    pub replica: Option<Replica>,
    /// All that it has counted since it began, in Prometheus' text format.
    #[prost(string, optional, tag = "2")]
    pub metrics: Option<String>,
}

/// What the controller answers to each [`RegisterRequest::replica`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterResponse {
    /// The namespace it is in.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The name of the replica.
    #[prost(string, tag = "2")]
    pub pod: String,
}

/// A replica of a workload.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Replica {
    /// An RFC 1123 label; if empty, the mesh's own.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The workload, and the service if it is one: an RFC 1035 label.
    #[prost(string, tag = "2")]
    pub workload: String,
    /// The replica: an RFC 1123 label. If empty, the controller chooses `workload-N`.
    #[prost(string, tag = "3")]
    pub pod: String,
    /// Drawn anew by each process and the same on all its streams, so that one which comes back
    /// can be told from another that wants the same name.
    #[prost(fixed64, tag = "4")]
    pub instance: u64,
    /// The process; zero if it does not say.
    #[prost(uint32, tag = "5")]
    pub pid: u32,
    /// What others may call it for; absent if it serves nothing.
    #[prost(message, optional, tag = "6")]
    pub service: Option<Service>,
    /// How it is.
    #[prost(enumeration = "State", tag = "7")]
    pub state: i32,
}

/// The service that a replica is part of.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Service {
    /// The port callers name, above zero; the same for all replicas of a workload.
    #[prost(uint32, tag = "1")]
    pub port: u32,
    /// Where this replica listens, `ip:port`.
    #[prost(string, tag = "2")]
    pub addr: String,
    /// What it speaks there.
    #[prost(enumeration = "Protocol", tag = "3")]
    pub protocol: i32,
}

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum State {
    /// It takes requests.
    Ready = 0,
    /// It takes none yet, or none at the moment.
    Unready = 1,
    /// It takes none any more and finishes what it has.
    Draining = 2,
}

/// What a replica speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Protocol {
    /// HTTP/1.
    Http1 = 0,
    /// HTTP/2 without being asked, as gRPC needs.
    H2 = 1,
    /// Not HTTP: bytes.
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
