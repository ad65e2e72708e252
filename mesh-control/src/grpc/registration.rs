use crate::{
    index::{RegisteredService, Registration},
    model::{Conditions, GATEWAY, Protocol},
};
use mesh_discover::wire::mesh_v1;
use mesh_manifest::names::{check_namespace, check_service};
use std::{fmt, net::SocketAddr};
use tonic::Status;

/// Reads a registration and checks every name and address in it.
pub(super) fn registration(wire: mesh_v1::Replica) -> Result<Registration, Status> {
    let mesh_v1::Replica {
        namespace,
        workload,
        pod,
        ..
    } = &wire;
    check_service(workload).map_err(|error| invalid("workload", workload, error))?;
    if workload == GATEWAY {
        return Err(invalid("workload", workload, "the gateway has that name"));
    }
    for (what, name) in [("namespace", namespace), ("pod", pod)] {
        if !name.is_empty() {
            check_namespace(name).map_err(|error| invalid(what, name, error))?;
        }
    }
    let conditions = conditions(wire.state)?;
    Ok(Registration {
        namespace: (!wire.namespace.is_empty()).then(|| wire.namespace.into()),
        workload: wire.workload.into(),
        pod: (!wire.pod.is_empty()).then(|| wire.pod.into()),
        instance: wire.instance,
        service: wire.service.as_ref().map(service).transpose()?,
        conditions,
        pid: Some(wire.pid).filter(|pid| *pid != 0),
    })
}

fn service(wire: &mesh_v1::Service) -> Result<RegisteredService, Status> {
    let port = u16::try_from(wire.port).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| invalid("port", wire.port, "it is none"))?;
    let addr = addr(&wire.addr)?;
    let protocol = match mesh_v1::Protocol::try_from(wire.protocol) {
        Ok(mesh_v1::Protocol::Http1) => Some(Protocol::Http1),
        Ok(mesh_v1::Protocol::H2) => Some(Protocol::H2),
        Ok(mesh_v1::Protocol::Opaque) => Some(Protocol::Opaque),
        Err(_) => return Err(invalid("protocol", wire.protocol, "it is unknown")),
    };
    Ok(RegisteredService {
        port,
        addr,
        protocol,
    })
}

/// The readiness that `wire` stands for.
pub(super) fn conditions(wire: i32) -> Result<Conditions, Status> {
    match mesh_v1::State::try_from(wire) {
        Ok(mesh_v1::State::Ready) => Ok(Conditions::READY),
        Ok(mesh_v1::State::Unready) => Ok(Conditions::default()),
        Ok(mesh_v1::State::Draining) => Ok(Conditions {
            ready: false,
            serving: true,
            terminating: true,
        }),
        Err(_) => Err(invalid("state", wire, "it is unknown")),
    }
}

/// An address to which anybody's requests may be sent: one of this machine's own.
fn addr(text: &str) -> Result<SocketAddr, Status> {
    let addr: SocketAddr = text
        .parse()
        .map_err(|_| invalid("address", text, "it is not ip:port"))?;
    if !addr.ip().is_loopback() || addr.port() == 0 {
        let reason = "it must be a loopback address with a port";
        return Err(invalid("address", text, reason));
    }
    Ok(addr)
}

/// Builds the error for an invalid value, cut to 64 characters so that it fits in a header.
fn invalid(what: &str, value: impl fmt::Display, reason: impl fmt::Display) -> Status {
    let value: String = value.to_string().chars().take(64).collect();
    Status::invalid_argument(format!("{what} {value:?}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_v1::Service;

    fn wire() -> mesh_v1::Replica {
        mesh_v1::Replica {
            workload: "front".into(),
            service: Some(Service {
                port: 80,
                addr: "127.0.0.1:4000".into(),
                protocol: mesh_v1::Protocol::H2.into(),
            }),
            ..mesh_v1::Replica::default()
        }
    }

    #[test]
    fn what_can_be_so_is_taken() {
        let front = registration(wire()).unwrap();
        let service = front.service.unwrap();
        assert_eq!((&*front.workload, service.port), ("front", 80));
        assert!(front.conditions.ready);
        assert_eq!(service.protocol, Some(Protocol::H2));
        assert_eq!((front.namespace, front.pod, front.pid), (None, None, None));

        let mut silent = wire();
        silent.service = None;
        assert_eq!(registration(silent).unwrap().service, None);
    }

    #[test]
    fn what_cannot_be_so_is_refused_with_the_reason() {
        type Change = fn(&mut mesh_v1::Replica);
        fn service(replica: &mut mesh_v1::Replica) -> &mut Service {
            replica.service.as_mut().unwrap()
        }
        let cases: [(Change, &str); 13] = [
            (|it| it.workload.clear(), "workload \"\": a DNS-1035 label"),
            (|it| it.workload = "a.b".into(), "workload \"a.b\": "),
            (|it| it.workload = "é\n".into(), "workload \"é\\n\": "),
            (|it| it.workload = "x".repeat(4 << 20), "63 characters"),
            (|it| it.workload = GATEWAY.into(), "the gateway"),
            (|it| it.namespace = "../..".into(), "namespace \"../..\": "),
            (|it| it.pod = "{}".into(), "pod \"{}\": "),
            (|it| it.state = 9, "state \"9\": it is unknown"),
            (|it| service(it).port = 0, "port \"0\": it is none"),
            (|it| service(it).port = 65_536, "port \"65536\": it is none"),
            (|it| service(it).addr = "localhost:1".into(), "not ip:port"),
            (|it| service(it).addr = "10.0.0.1:1".into(), "loopback"),
            (|it| service(it).protocol = -1, "protocol \"-1\": "),
        ];
        for (change, reason) in cases {
            let mut replica = wire();
            change(&mut replica);
            let status = registration(replica).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert!(status.message().contains(reason), "{status}");
            assert!(status.message().len() < 512);
        }
    }
}
