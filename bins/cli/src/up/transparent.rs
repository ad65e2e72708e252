//! A replica in a pod of its own: what it is told, and where its sidecar listens.

use super::{
    adhoc::{Placed, RunRequest},
    board::{Serves, Sidecar},
    config::{Upstream, Workload},
    document::Form,
    enter::Within,
    network::{ADMIN, INBOUND, OUTBOUND, PROXY_UID, Pod},
    plan::{self, GRACE, MeshSettings, ReplicaPlan, ReplicaPorts, loopback},
    process::Spec,
    ready::Probe,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// The network namespace and address of a planned pod.
#[derive(Clone, Debug)]
struct Place {
    network: PathBuf,
    hosts: PathBuf,
    address: IpAddr,
    has_v6: bool,
}

/// Plans replica `index` of the workload `name`, in `pod`.
pub(crate) fn replica(
    settings: &MeshSettings,
    name: &str,
    workload: &Workload,
    index: u32,
    pod: &Pod,
) -> ReplicaPlan {
    let place = Place {
        network: pod.path(),
        hosts: pod.hosts.clone(),
        address: pod.address,
        has_v6: pod.has_v6,
    };
    plan_in(settings, name, workload, index, place)
}

fn plan_in(
    settings: &MeshSettings,
    name: &str,
    workload: &Workload,
    index: u32,
    place: Place,
) -> ReplicaPlan {
    let pod = format!("{name}-{index}");
    let app = workload.port.map(|port| workload.listen.unwrap_or(port));
    let mut env = environment(&workload.upstreams, app);
    let further = workload.ports.iter();
    let further = further.map(|port| port.listen.unwrap_or(port.port));
    plan::name_ports(&mut env, workload, app, further.clone());
    env.extend(workload.env.clone());
    let opaque = workload.ports.iter().filter(|port| port.opaque);
    let opaque = opaque.map(|port| port.listen.unwrap_or(port.port));
    let main = app.filter(|_| workload.opaque).into_iter();
    let opaque: Vec<_> = main.chain(opaque).collect();
    let within = |probe| Probe::Within(place.network.clone(), Box::new(probe));
    let program_probe = match (app, &workload.ready) {
        (Some(port), Some(path)) => within(Probe::Http(loopback(port), path.clone())),
        (Some(port), None) => within(Probe::Accepts(loopback(port))),
        (None, _) => Probe::Running,
    };
    let app_addr = app.map(|port| SocketAddr::new(place.address, port));
    ReplicaPlan {
        workload: name.to_owned(),
        index,
        service: workload
            .port
            .map(|port| plan::authority(&workload.service, &settings.namespace, port)),
        ports: ReplicaPorts::default(),
        app: app_addr,
        expects: plan::expected(app, workload),
        entry: Sidecar {
            // The firewall leads from there to the sidecar.
            inbound: app_addr,
            admin: SocketAddr::new(place.address, ADMIN),
            opaque: workload.opaque,
            further: workload
                .ports
                .iter()
                .zip(further)
                .map(|(port, listen)| Serves {
                    port: port.port,
                    inbound: SocketAddr::new(place.address, listen),
                    opaque: port.opaque,
                })
                .collect(),
            revision: workload.revision(),
        },
        program_probe,
        sidecar_probe: within(plan::ready(loopback(ADMIN))),
        sidecar: Spec::Mesh {
            args: sidecar(settings, name, &pod, &opaque, place.has_v6),
            within: Some(Within {
                network: place.network.clone(),
                hosts: None,
                user: Some(PROXY_UID),
            }),
        },
        program: Spec::Program {
            command: workload.command.clone(),
            dir: workload.dir.clone(),
            env: env.into_iter().collect(),
            stdin: workload.stdin,
            grace: GRACE,
            within: Some(Within {
                network: place.network.clone(),
                hosts: Some(place.hosts),
                user: None,
            }),
        },
        pod,
    }
}

/// Plans the replica `pod` of a program that `mesh run` starts, in the network `place`.
pub(super) fn ad_hoc(
    settings: &MeshSettings,
    request: &RunRequest,
    pod: &str,
    place: Arc<Pod>,
) -> Placed {
    let app = request.port.map(|port| request.listen.unwrap_or(port));
    let within = |probe| Probe::Within(place.path(), Box::new(probe));
    let listens = app.map(|port| Probe::Accepts(loopback(port)));
    let app_addr = app.map(|port| SocketAddr::new(place.address, port));
    Placed {
        ports: ReplicaPorts::default(),
        sidecar: Spec::Mesh {
            args: sidecar(settings, &request.name, pod, &[], place.has_v6),
            within: Some(Within {
                network: place.path(),
                hosts: None,
                user: Some(PROXY_UID),
            }),
        },
        sidecar_probe: within(plan::ready(loopback(ADMIN))),
        program_probe: listens.map_or(Probe::Running, within),
        app: app_addr,
        entry: Sidecar {
            inbound: app_addr,
            admin: SocketAddr::new(place.address, ADMIN),
            opaque: false,
            further: Vec::new(),
            revision: None,
        },
        env: environment(&BTreeMap::new(), app),
        within: Some(Within {
            network: place.path(),
            hosts: Some(place.hosts.clone()),
            user: None,
        }),
        network: Some(place),
    }
}

/// The environment of a program in transparent mode: without any proxy variable, even inherited.
fn environment(
    upstreams: &BTreeMap<String, Upstream>,
    app: Option<u16>,
) -> BTreeMap<String, String> {
    let proxies = ["http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"];
    let mut env: BTreeMap<_, _> = proxies
        .iter()
        .map(|name| ((*name).to_owned(), String::new()))
        .collect();
    if let Some(port) = app {
        env.insert("PORT".to_owned(), port.to_string());
    }
    for (variable, upstream) in upstreams {
        let value = match upstream.form {
            Form::Url => format!("http://{}", upstream.to),
            Form::HostPort => upstream.to.clone(),
        };
        env.insert(variable.clone(), value);
    }
    env
}

fn sidecar(
    settings: &MeshSettings,
    name: &str,
    pod: &str,
    opaque: &[u16],
    has_v6: bool,
) -> Vec<String> {
    // One socket of IPv6 takes both.
    let everywhere: IpAddr = match has_v6 {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    let mut outbound = loopback(OUTBOUND).to_string();
    if has_v6 {
        let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), OUTBOUND);
        outbound = format!("{outbound},{v6}");
    }
    let mut args = plan::proxy(settings, name, pod, SocketAddr::new(everywhere, ADMIN));
    args.extend(["--transparent-outbound".to_owned(), outbound]);
    // Every port that the program listens on can be called, as in a pod.
    let inbound = SocketAddr::new(everywhere, INBOUND).to_string();
    args.extend(["--transparent-inbound".to_owned(), inbound]);
    for app in opaque {
        args.extend(["--opaque-port".to_owned(), app.to_string()]);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::config::Config;
    use std::path::Path;

    fn plan(text: &str) -> ReplicaPlan {
        let config = Config::parse(text, "mesh.yaml", Path::new("/nowhere/mesh.yaml")).unwrap();
        let (name, workload) = config.workloads.first_key_value().unwrap();
        let settings = MeshSettings {
            namespace: "shop".into(),
            control: "10.200.0.1:99".parse().unwrap(),
            no_proxy: None,
        };
        let place = Place {
            network: "/net".into(),
            hosts: "/hosts".into(),
            address: [10, 200, 1, 0].into(),
            has_v6: true,
        };
        plan_in(&settings, name, workload, 0, place)
    }

    #[test]
    fn a_program_listens_where_it_wants_and_is_told_of_no_proxy() {
        let plan = plan(
            "workloads:\n  web:\n    command: serve\n    port: 80\n    listen: 8080\n    \
             upstreams: {BOOKS: 'books:7002', VOTING: {to: 'voting:8080', as: hostport}}\n",
        );
        let Spec::Program { env, within, .. } = &plan.program else {
            panic!("not a program");
        };
        let env: BTreeMap<_, _> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(env["PORT"], "8080");
        assert_eq!(env["http_proxy"], "");
        assert_eq!(env["BOOKS"], "http://books:7002");
        assert_eq!(env["VOTING"], "voting:8080");
        assert_eq!(within.as_ref().unwrap().user, None);
        assert_eq!(plan.entry.inbound, Some(([10, 200, 1, 0], 8080).into()));
        assert_eq!(
            plan.service.unwrap(),
            "web.shop.svc.cluster.local:80",
            "the service's port is another than the program's"
        );
    }

    #[test]
    fn a_sidecar_listens_where_the_firewall_leads_and_is_another_user() {
        let plan = plan("workloads:\n  db: {command: serve, port: 5000, opaque: true}\n");
        let Spec::Mesh { args, within } = &plan.sidecar else {
            panic!("not ours");
        };
        let args = args.join(" ");
        for part in [
            "--admin [::]:4191 --control 10.200.0.1:99",
            "--transparent-outbound 127.0.0.1:4140,[::1]:4140",
            "--transparent-inbound [::]:4143 --opaque-port 5000",
        ] {
            assert!(args.contains(part), "{part} in {args}");
        }
        assert_eq!(within.as_ref().unwrap().user, Some(PROXY_UID));
        assert!(plan.entry.opaque);
    }
}
