//! The arguments of our own processes: sidecars, the gateway, the controller.

use super::{DRAIN, GATEWAY, MeshSettings, ReplicaPorts, loopback};
use crate::up::{
    config::{Upstream, Workload},
    process::Spec,
};
use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddr},
};

/// The sidecar of `pod`, a replica of `workload`.
pub(super) fn sidecar(
    settings: &MeshSettings,
    name: &str,
    pod: &str,
    workload: &Workload,
    ports: &ReplicaPorts,
) -> Spec {
    let mut spec = plain_sidecar(settings, name, pod, &workload.upstreams, ports);
    if let Spec::Mesh { args, .. } = &mut spec {
        let main = ports.app.filter(|_| workload.opaque);
        let further = workload.ports.iter().zip(&ports.further);
        let further = further.filter_map(|(port, own)| port.opaque.then_some(own.app));
        for app in main.into_iter().chain(further) {
            args.extend(["--opaque-port".to_owned(), app.to_string()]);
        }
    }
    spec
}

/// The sidecar of `pod`, about whose program nothing is known but its ports.
pub(crate) fn plain_sidecar(
    settings: &MeshSettings,
    workload: &str,
    pod: &str,
    upstreams: &BTreeMap<String, Upstream>,
    ports: &ReplicaPorts,
) -> Spec {
    let mut args = proxy(settings, workload, pod, loopback(ports.admin));
    args.extend([
        "--outbound".to_owned(),
        loopback(ports.outbound).to_string(),
    ]);
    if let (Some(inbound), Some(app)) = (ports.inbound, ports.app) {
        let inbound = format!("{}={}", loopback(inbound), loopback(app));
        args.extend(["--inbound".to_owned(), inbound]);
    }
    for further in &ports.further {
        let inbound = format!("{}={}", loopback(further.inbound), loopback(further.app));
        args.extend(["--inbound".to_owned(), inbound]);
    }
    for (upstream, port) in upstreams.values().zip(&ports.upstreams) {
        let upstream = format!("{}={}", loopback(*port), upstream.to);
        args.extend(["--upstream".to_owned(), upstream]);
    }
    Spec::Mesh { args, within: None }
}

/// The sidecar that serves the host ports of `services` (port to authority), on `::1` too if
/// `has_v6`: browsers and some runtimes try that first for `localhost`.
pub(crate) fn gateway(
    settings: &MeshSettings,
    admin: u16,
    services: &BTreeMap<u16, String>,
    has_v6: bool,
) -> Option<Spec> {
    if services.is_empty() {
        return None;
    }
    let mut args = proxy(settings, GATEWAY, GATEWAY, loopback(admin));
    for (port, authority) in services {
        let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), *port);
        for listen in [Some(loopback(*port)), has_v6.then_some(v6)] {
            let gateway = listen.map(|listen| format!("{listen}={authority}"));
            args.extend(
                gateway
                    .into_iter()
                    .flat_map(|it| ["--gateway".to_owned(), it]),
            );
        }
    }
    Some(Spec::Mesh { args, within: None })
}

pub(in crate::up) fn proxy(
    settings: &MeshSettings,
    workload: &str,
    pod: &str,
    admin: SocketAddr,
) -> Vec<String> {
    let namespace = &settings.namespace;
    let mut args = vec!["proxy".to_owned()];
    for (flag, value) in [
        ("--admin", admin.to_string()),
        ("--control", settings.control.to_string()),
        ("--namespace", namespace.clone()),
        ("--label", format!("namespace={namespace}")),
        ("--label", format!("deployment={workload}")),
        ("--label", format!("pod={pod}")),
        ("--workers", "1".to_owned()),
        ("--drain-limit", format!("{}s", DRAIN.as_secs())),
    ] {
        args.extend([flag.to_owned(), value]);
    }
    args.push("--lifeline".to_owned());
    args
}

/// The controller.
pub(crate) fn controller(state_dir: &str, grpc: SocketAddr, http: u16) -> Spec {
    let (grpc, http) = (grpc.to_string(), loopback(http).to_string());
    let args = [
        "controller",
        "--state-dir",
        state_dir,
        "--grpc",
        &grpc,
        "--http",
        &http,
        "--lifeline",
    ];
    Spec::Mesh {
        args: args.map(str::to_owned).into(),
        within: None,
    }
}
