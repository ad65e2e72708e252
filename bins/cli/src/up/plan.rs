//! From what was asked for to what is started: ports, environment, arguments. Pure functions.

use super::{
    board::Sidecar,
    config::{Config, HostPort, Upstream, Workload},
    document::Form,
    process::Spec,
    ready::Probe,
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// From SIGTERM to SIGKILL when `mesh up` itself is gone.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// How long a sidecar may finish what is in flight.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);
/// What programs reach without the mesh: themselves and their neighbours on this machine.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";
/// What the gateway is called where workloads are, as in `mesh edges`.
const GATEWAY: &str = mesh_controller::stats::GATEWAY;
/// Every name in the mesh ends so, fully qualified.
const DOMAIN: &str = "svc.cluster.local";

/// The loopback ports of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaPorts {
    /// Where the program listens, if it does.
    pub(crate) app: Option<u16>,
    /// Where its sidecar takes calls for it.
    pub(crate) inbound: Option<u16>,
    /// Where its sidecar takes its calls.
    pub(crate) outbound: u16,
    /// The sidecar's admin listener.
    pub(crate) admin: u16,
    /// One for each upstream, in the order of their variables.
    pub(crate) upstreams: Vec<u16>,
}

impl ReplicaPorts {
    /// Chooses them, each with `next`.
    pub(crate) fn choose(
        workload: &Workload,
        mut next: impl FnMut() -> anyhow::Result<u16>,
    ) -> anyhow::Result<Self> {
        let serves = workload.port.is_some();
        Ok(Self {
            app: match workload.listen {
                Some(port) => Some(port),
                None => serves.then(&mut next).transpose()?,
            },
            inbound: serves.then(&mut next).transpose()?,
            outbound: next()?,
            admin: next()?,
            upstreams: workload
                .upstreams
                .iter()
                .map(|_| next())
                .collect::<Result<_, _>>()?,
        })
    }

    /// All of them, to be given back.
    pub(crate) fn all(&self) -> impl Iterator<Item = u16> {
        let some = self.app.into_iter().chain(self.inbound);
        some.chain([self.outbound, self.admin])
            .chain(self.upstreams.clone())
    }
}

/// One replica of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaPlan {
    /// Its name, as in `authors-0`.
    pub(crate) pod: String,
    pub(crate) workload: String,
    /// Its number among the replicas.
    pub(crate) index: u32,
    /// The service it is an endpoint of.
    pub(crate) service: Option<String>,
    /// Its own ports of this machine.
    pub(crate) ports: ReplicaPorts,
    /// Where its program listens, if it does.
    pub(crate) app: Option<SocketAddr>,
    /// What the controller is told.
    pub(crate) told: Sidecar,
    pub(crate) program: Spec,
    pub(crate) program_probe: Probe,
    pub(crate) sidecar: Spec,
    pub(crate) sidecar_probe: Probe,
}

/// What is the same for every replica of a mesh.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) namespace: String,
    /// The controller's gRPC address.
    pub(crate) control: SocketAddr,
    /// `no_proxy` of the environment of `mesh up`.
    pub(crate) no_proxy: Option<String>,
}

/// Plans replica `index` of the workload `name`.
pub(crate) fn replica(
    around: &Surroundings,
    name: &str,
    workload: &Workload,
    index: u32,
    ports: ReplicaPorts,
) -> ReplicaPlan {
    let pod = format!("{name}-{index}");
    let mut env = environment(around, &workload.upstreams, &ports);
    env.extend(workload.env.clone());
    let program_probe = match (ports.app, &workload.ready) {
        (Some(port), Some(path)) => Probe::Http(loopback(port), path.clone()),
        (Some(port), None) => Probe::Accepts(loopback(port)),
        (None, _) => Probe::Running,
    };
    ReplicaPlan {
        workload: name.to_owned(),
        index,
        service: workload
            .port
            .map(|port| authority(&workload.service, &around.namespace, port)),
        program: Spec::Program {
            command: workload.command.clone(),
            dir: workload.dir.clone(),
            env: env.into_iter().collect(),
            grace: GRACE,
            within: None,
        },
        program_probe,
        sidecar: sidecar(around, name, &pod, workload, &ports),
        sidecar_probe: ready(loopback(ports.admin)),
        app: ports.app.map(loopback),
        told: Sidecar {
            inbound: ports.inbound.map(loopback),
            admin: loopback(ports.admin),
            opaque: workload.opaque,
        },
        ports,
        pod,
    }
}

/// Whether the sidecar with the admin listener `admin` is ready.
pub(crate) fn ready(admin: SocketAddr) -> Probe {
    Probe::Http(admin, "/ready".to_owned())
}

/// What the mesh tells a program.
pub(crate) fn environment(
    around: &Surroundings,
    upstreams: &BTreeMap<String, Upstream>,
    ports: &ReplicaPorts,
) -> BTreeMap<String, String> {
    let proxy = format!("http://{}", loopback(ports.outbound));
    let no_proxy = match around.no_proxy.as_deref().map(str::trim) {
        Some(more) if !more.is_empty() => format!("{NO_PROXY},{more}"),
        _ => NO_PROXY.to_owned(),
    };
    // Programs differ in which case they read, and some read only one of the two.
    let mut env = BTreeMap::from([
        ("http_proxy".to_owned(), proxy.clone()),
        ("HTTP_PROXY".to_owned(), proxy),
        ("no_proxy".to_owned(), no_proxy.clone()),
        ("NO_PROXY".to_owned(), no_proxy),
    ]);
    if let Some(port) = ports.app {
        env.insert("PORT".to_owned(), port.to_string());
    }
    for ((variable, upstream), port) in upstreams.iter().zip(&ports.upstreams) {
        let value = match upstream.form {
            Form::Url => format!("http://{}", loopback(*port)),
            Form::HostPort => loopback(*port).to_string(),
        };
        env.insert(variable.clone(), value);
    }
    env
}

/// The sidecar of `pod`, a replica of `workload`.
fn sidecar(
    around: &Surroundings,
    name: &str,
    pod: &str,
    workload: &Workload,
    ports: &ReplicaPorts,
) -> Spec {
    let mut spec = plain_sidecar(around, name, pod, &workload.upstreams, ports);
    if let (true, Some(app), Spec::Mesh { args, .. }) = (workload.opaque, ports.app, &mut spec) {
        args.extend(["--opaque-port".to_owned(), app.to_string()]);
    }
    spec
}

/// The sidecar of `pod`, about whose program nothing is known but its ports.
pub(crate) fn plain_sidecar(
    around: &Surroundings,
    workload: &str,
    pod: &str,
    upstreams: &BTreeMap<String, Upstream>,
    ports: &ReplicaPorts,
) -> Spec {
    let mut args = proxy(around, workload, pod, loopback(ports.admin));
    args.extend([
        "--outbound".to_owned(),
        loopback(ports.outbound).to_string(),
    ]);
    if let (Some(inbound), Some(app)) = (ports.inbound, ports.app) {
        let inbound = format!("{}={}", loopback(inbound), loopback(app));
        args.extend(["--inbound".to_owned(), inbound]);
    }
    for (upstream, port) in upstreams.values().zip(&ports.upstreams) {
        let upstream = format!("{}={}", loopback(*port), upstream.to);
        args.extend(["--upstream".to_owned(), upstream]);
    }
    Spec::Mesh { args, within: None }
}

/// The sidecar that serves the host ports of `services` (port to authority).
pub(crate) fn gateway(
    around: &Surroundings,
    admin: u16,
    services: &BTreeMap<u16, String>,
) -> Option<Spec> {
    if services.is_empty() {
        return None;
    }
    let mut args = proxy(around, GATEWAY, GATEWAY, loopback(admin));
    for (port, authority) in services {
        let gateway = format!("{}={authority}", loopback(*port));
        args.extend(["--gateway".to_owned(), gateway]);
    }
    Some(Spec::Mesh { args, within: None })
}

pub(super) fn proxy(
    around: &Surroundings,
    workload: &str,
    pod: &str,
    admin: SocketAddr,
) -> Vec<String> {
    let namespace = &around.namespace;
    let mut args = vec!["proxy".to_owned()];
    for (flag, value) in [
        ("--admin", admin.to_string()),
        ("--control", around.control.to_string()),
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

/// The host ports of a mesh.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HostPorts {
    /// What each serves.
    pub(crate) services: BTreeMap<u16, String>,
    /// What to tell about those that were left out.
    pub(crate) notes: Vec<String>,
    /// Why the mesh cannot start: explicit ports that are taken.
    pub(crate) errors: Vec<String>,
}

/// Gives host ports to the workloads of `config`, the explicit ones first.
pub(crate) fn host_ports(config: &Config, is_free: impl Fn(u16) -> bool) -> HostPorts {
    let mut ports = HostPorts::default();
    let listened: Vec<u16> = config
        .workloads
        .values()
        .filter_map(|it| it.listen)
        .collect();
    for (name, workload) in &config.workloads {
        let (HostPort::Exactly(port), Some(service)) = (workload.host_port, workload.port) else {
            continue;
        };
        if is_free(port) {
            let service = authority(&workload.service, &config.namespace, service);
            ports.services.insert(port, service);
        } else {
            ports.errors.push(format!(
                "{}: the host port {port} of workload `{name}` is taken by another process; \
                 choose another `host_port`, or `false` for none",
                workload.place
            ));
        }
    }
    for (name, workload) in &config.workloads {
        let (HostPort::IfFree(port), Some(service)) = (workload.host_port, workload.port) else {
            continue;
        };
        let taken_by = if ports.services.contains_key(&port) {
            Some("another workload")
        } else if listened.contains(&port) {
            Some("a workload that listens there")
        } else if is_free(port) {
            None
        } else {
            Some("another process")
        };
        match taken_by {
            None => {
                let service = authority(&workload.service, &config.namespace, service);
                ports.services.insert(port, service);
            }
            Some(who) => ports.notes.push(format!(
                "{name} has no port on the host: {port} is taken by {who}; `host_port` sets another"
            )),
        }
    }
    ports
}

/// The full name of a service.
pub(crate) fn authority(name: &str, namespace: &str, port: u16) -> String {
    format!("{name}.{namespace}.{DOMAIN}:{port}")
}

/// Whether running replicas of `old` must be replaced to be those of `new`.
pub(crate) fn must_restart(old: &Workload, new: &Workload) -> bool {
    // What a running replica does not notice.
    let essence = |workload: &Workload| Workload {
        host_port: HostPort::None,
        replicas: 0,
        depends_on: Vec::new(),
        place: String::new(),
        ..workload.clone()
    };
    essence(old) != essence(new)
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        Config::parse(text, "mesh.yaml", Path::new("/nowhere/mesh.yaml")).unwrap()
    }

    fn around() -> Surroundings {
        Surroundings {
            namespace: "shop".into(),
            control: loopback(99),
            no_proxy: Some("corp.example".into()),
        }
    }

    fn plan(text: &str) -> ReplicaPlan {
        let config = config(text);
        let (name, workload) = config.workloads.first_key_value().unwrap();
        let mut port = 100;
        let ports = ReplicaPorts::choose(workload, || {
            port += 1;
            Ok(port)
        });
        replica(&around(), name, workload, 0, ports.unwrap())
    }

    fn env(plan: &ReplicaPlan) -> BTreeMap<&str, &str> {
        let Spec::Program { env, .. } = &plan.program else {
            panic!("not a program");
        };
        env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
    }

    fn args(spec: &Spec) -> String {
        let Spec::Mesh { args, .. } = spec else {
            panic!("not ours");
        };
        args.join(" ")
    }

    #[test]
    fn a_program_is_told_its_port_its_proxy_and_its_upstreams() {
        let plan = plan(
            "workloads:\n  web:\n    command: serve\n    port: 80\n    env: {MODE: test}\n    \
             upstreams: {BOOKS: 'books:7002', VOTING: {to: 'voting:8080', as: hostport}}\n",
        );
        let env = env(&plan);
        assert_eq!(env["PORT"], "101");
        assert_eq!(env["http_proxy"], "http://127.0.0.1:103");
        assert_eq!(env["HTTP_PROXY"], env["http_proxy"]);
        assert_eq!(env["no_proxy"], "localhost,127.0.0.1,::1,corp.example");
        assert_eq!(env["NO_PROXY"], env["no_proxy"]);
        assert_eq!(env["BOOKS"], "http://127.0.0.1:105");
        assert_eq!(env["VOTING"], "127.0.0.1:106");
        assert_eq!(env["MODE"], "test");
        assert_eq!(plan.program_probe, Probe::Accepts(loopback(101)));
        assert_eq!(
            args(&plan.sidecar),
            "proxy --admin 127.0.0.1:104 --control 127.0.0.1:99 --namespace shop \
             --label namespace=shop --label deployment=web --label pod=web-0 --workers 1 \
             --drain-limit 10s --lifeline --outbound 127.0.0.1:103 \
             --inbound 127.0.0.1:102=127.0.0.1:101 --upstream 127.0.0.1:105=books:7002 \
             --upstream 127.0.0.1:106=voting:8080"
        );
    }

    #[test]
    fn a_program_without_a_port_only_calls() {
        let plan = plan("workloads:\n  traffic: {command: go}\n");
        assert!(!env(&plan).contains_key("PORT"));
        assert_eq!(plan.program_probe, Probe::Running);
        assert!(!args(&plan.sidecar).contains("--inbound"));
    }

    #[test]
    fn a_program_that_insists_on_a_port_keeps_it() {
        let plan =
            plan("workloads:\n  web: {command: go, port: 80, listen: 8888, ready: /healthz}\n");
        assert_eq!(env(&plan)["PORT"], "8888");
        assert_eq!(
            plan.program_probe,
            Probe::Http(loopback(8888), "/healthz".into())
        );
    }

    #[test]
    fn host_ports_are_the_service_ports_where_these_are_free() {
        let config = config(
            "namespace: shop\nworkloads:\n  a: {command: x, port: 7001}\n  \
             b: {command: x, port: 7001}\n  c: {command: x, port: 80}\n  \
             d: {command: x, port: 81, listen: 81}\n  e: {command: x, port: 82, host_port: false}\n  \
             f: {command: x, port: 9, host_port: 90, service: f-svc}\n  g: {command: x, port: 8, host_port: 91}\n",
        );
        let ports = host_ports(&config, |port| port != 80 && port != 91);
        assert_eq!(
            ports.services,
            BTreeMap::from([
                (90, "f-svc.shop.svc.cluster.local:9".to_owned()),
                (7001, "a.shop.svc.cluster.local:7001".to_owned()),
            ])
        );
        assert_eq!(ports.notes.len(), 3, "{:?}", ports.notes);
        assert!(
            ports.notes[0]
                .starts_with("b has no port on the host: 7001 is taken by another workload")
        );
        assert_eq!(
            ports.errors,
            [
                "mesh.yaml:9: the host port 91 of workload `g` is taken by another process; choose \
              another `host_port`, or `false` for none"
            ]
        );
    }

    #[test]
    fn only_what_a_replica_would_notice_restarts_it() {
        let old = config("workloads:\n  a: {command: x, port: 1}\n");
        let old = &old.workloads["a"];
        for (new, restart) in [
            (
                "\n\nworkloads:\n  a: {command: x, port: 1, replicas: 3, host_port: false}\n",
                false,
            ),
            ("workloads:\n  a: {command: other, port: 1}\n", true),
            (
                "workloads:\n  a: {command: x, port: 1, env: {A: b}}\n",
                true,
            ),
            ("workloads:\n  a: {command: x, port: 2}\n", true),
            ("workloads:\n  a: {command: x, port: 1, service: b}\n", true),
        ] {
            let new = config(new);
            assert_eq!(must_restart(old, &new.workloads["a"]), restart);
        }
    }
}
