mod args;
mod engine;
mod limits;

pub use self::{
    args::{Args, Fixed, Label},
    limits::Limits,
};
pub use crate::listener::role::Role;

use anyhow::{Context as _, bail};
use clap::Args as _;
use std::{
    ffi::OsString,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    sync::Arc,
};

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address; port 0 lets the system choose one.
    pub addr: SocketAddr,
    /// The treatment of its connections.
    pub role: Role,
}

/// The one destination of the standalone form.
#[derive(Clone, Debug)]
pub struct Standalone {
    /// `HOST:PORT`s, resolved again every 30 s.
    pub forward: Vec<String>,
    /// A ServiceProfile manifest.
    pub profile: Option<PathBuf>,
}

/// Everything a proxy is told, checked once; nothing reads flags or environment later.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listeners to open.
    pub listeners: Vec<Listener>,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The controller's `HOST:PORT`.
    pub control: Option<String>,
    /// Where short names are looked up.
    pub namespace: String,
    /// The domain of the cluster's names.
    pub cluster_domain: String,
    /// On every series, and on tap events.
    pub labels: Vec<(String, String)>,
    /// Number of threads that carry requests.
    pub workers: usize,
    /// End when standard input does.
    pub lifeline: bool,
    /// Where [`Role::Forward`] goes.
    pub standalone: Option<Standalone>,
    /// Ports on which nobody speaks HTTP: those of the application, and those of redirected
    /// connections.
    pub opaque_ports: Arc<[u16]>,
    /// Bounds.
    pub limits: Limits,
    /// The log filter.
    pub log: String,
}

impl Config {
    /// Reads flags and environment; prints help or usage errors itself, as clap does.
    ///
    /// # Errors
    ///
    /// A message naming the flag, for what clap cannot check.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::from_args(std::env::args_os())
    }

    fn from_args(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        let command = Args::augment_args(
            clap::Command::new("mesh-proxy")
                .version(env!("CARGO_PKG_VERSION"))
                .about("The mesh sidecar: routes, budgeted retries, timeouts, balancing, metrics, tap")
                .after_help(
                    "Example:\n  mesh-proxy --listen 127.0.0.1:8080 --forward 127.0.0.1:9001,127.0.0.1:9002",
                ),
        );
        let matches = command.get_matches_from(args);
        let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches)?;
        Self::try_from(args)
    }
}

impl TryFrom<Args> for Config {
    type Error = anyhow::Error;

    fn try_from(args: Args) -> anyhow::Result<Self> {
        let mut listeners = Vec::new();
        let mut listen = |addr, role| listeners.push(Listener { addr, role });
        for addr in args.outbound {
            listen(addr, Role::Outbound);
        }
        for Fixed { addr, target } in args.upstream {
            listen(addr, Role::Upstream(target.into()));
        }
        for Fixed { addr, target } in args.gateway {
            listen(addr, Role::Gateway(target.into()));
        }
        for Fixed { addr, target } in args.inbound {
            // The application is local: its name is resolved once.
            let app = target
                .to_socket_addrs()
                .ok()
                .and_then(|mut addrs| addrs.next())
                .with_context(|| format!("--inbound: `{target}` is not a HOST:PORT that exists"))?;
            listen(addr, Role::Inbound(app));
        }
        for addr in args.transparent_outbound {
            listen(addr, Role::TransparentOutbound);
        }
        let ports: Arc<[u16]> = args.transparent_ports.into();
        for addr in args.transparent_inbound {
            listen(addr, Role::TransparentInbound(ports.clone()));
        }
        let standalone = args.listen.map(|addr| {
            listen(addr, Role::Forward);
            Standalone {
                forward: args.forward,
                profile: args.profile,
            }
        });
        for target in standalone.iter().flat_map(|one| &one.forward) {
            has_port(target).with_context(|| format!("--forward: `{target}`"))?;
        }
        if listeners.is_empty() {
            bail!(
                "nothing to listen on: give --outbound, --upstream, --gateway, --inbound, \
                 --transparent-outbound, --transparent-inbound or --listen"
            );
        }
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            listeners,
            admin: args.admin,
            control: args.control,
            namespace: args.namespace,
            cluster_domain: args.cluster_domain,
            labels: args.labels.into_iter().map(|l| (l.key, l.value)).collect(),
            workers: args.workers.map_or_else(cores, usize::from),
            lifeline: args.lifeline,
            standalone,
            opaque_ports: args.opaque_ports.into(),
            limits: args.limits,
            log: args.log,
        })
    }
}

fn has_port(target: &str) -> anyhow::Result<()> {
    let authority: http::uri::Authority = target.parse().context("not HOST:PORT")?;
    if authority.port_u16().is_none() {
        bail!("the port is missing");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn config(args: &str) -> anyhow::Result<Config> {
        let args = std::iter::once("mesh-proxy").chain(args.split(' '));
        Config::from_args(args.map(OsString::from))
    }

    #[test]
    fn the_standalone_form_has_the_promised_defaults() {
        let config = config("--listen 127.0.0.1:0 --forward localhost:1,127.0.0.1:2").unwrap();
        assert_eq!(config.listeners[0].role, Role::Forward);
        assert_eq!(
            config.standalone.unwrap().forward,
            ["localhost:1", "127.0.0.1:2"]
        );
        assert_eq!(config.admin, "127.0.0.1:4191".parse().unwrap());
        assert!(config.workers >= 1);
        assert_eq!(config.limits.drain, Duration::from_secs(120));
    }

    #[test]
    fn a_sidecar_has_several_listeners() {
        let config = config(
            "--outbound 127.0.0.1:4140 --upstream 127.0.0.1:1=books:7002 \
             --upstream 127.0.0.1:2=authors:7001 --inbound 127.0.0.1:3=127.0.0.1:80 \
             --label pod=web-0 --label deployment=web --drain-limit 1m30s",
        )
        .unwrap();
        assert_eq!(config.listeners.len(), 4);
        assert_eq!(
            config.listeners[2].role,
            Role::Upstream("authors:7001".into())
        );
        assert_eq!(config.labels[1], ("deployment".into(), "web".into()));
        assert_eq!(config.limits.drain, Duration::from_secs(90));
    }

    #[test]
    fn a_transparent_sidecar_has_two_listeners_and_the_ports_of_its_application() {
        let config = config(
            "--transparent-outbound 127.0.0.1:4140,[::1]:4140 --transparent-inbound 0.0.0.0:4143 \
             --transparent-port 80,443",
        )
        .unwrap();
        let roles: Vec<_> = config.listeners.into_iter().map(|it| it.role).collect();
        let ports = Arc::from([80, 443]);
        let outbound = Role::TransparentOutbound;
        let inbound = Role::TransparentInbound(ports);
        assert_eq!(roles, [outbound.clone(), outbound, inbound]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = config("--listen 127.0.0.1:0 --forward books").unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "--forward: `books`: the port is missing"
        );
        assert!(
            config("--admin 127.0.0.1:1")
                .unwrap_err()
                .to_string()
                .contains("--outbound")
        );
    }
}
