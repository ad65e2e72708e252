use super::Limits;
use anyhow::{Context as _, bail};
use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// The flags of `mesh-proxy` and of `mesh proxy`. Each has an environment variable that it
/// wins over.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Capture listener of the application's calls: the `http_proxy` of its environment
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_PROXY_OUTBOUND",
        value_delimiter = ','
    )]
    pub outbound: Vec<SocketAddr>,

    /// A listener whose requests all go to AUTHORITY, which also becomes their Host
    #[arg(
        long,
        value_name = "ADDR=AUTHORITY",
        env = "MESH_PROXY_UPSTREAM",
        value_delimiter = ','
    )]
    pub upstream: Vec<Fixed>,

    /// A listener whose requests all go to AUTHORITY and keep their Host
    #[arg(
        long,
        value_name = "ADDR=AUTHORITY",
        env = "MESH_PROXY_GATEWAY",
        value_delimiter = ','
    )]
    pub gateway: Vec<Fixed>,

    /// A listener for calls into the local application at HOST:PORT
    #[arg(
        long,
        value_name = "ADDR=HOST:PORT",
        env = "MESH_PROXY_INBOUND",
        value_delimiter = ','
    )]
    pub inbound: Vec<Fixed>,

    /// A listener to which the firewall redirects the application's calls; see `mesh-init`
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_PROXY_TRANSPARENT_OUTBOUND",
        value_delimiter = ','
    )]
    pub transparent_outbound: Vec<SocketAddr>,

    /// A listener to which the firewall redirects calls into the local application
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_PROXY_TRANSPARENT_INBOUND",
        value_delimiter = ','
    )]
    pub transparent_inbound: Vec<SocketAddr>,

    /// A port of the application that may be called so [default: all but the proxy's own]
    #[arg(
        long = "transparent-port",
        value_name = "PORT",
        env = "MESH_PROXY_TRANSPARENT_PORTS",
        value_delimiter = ',',
        requires = "transparent_inbound",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub transparent_ports: Vec<u16>,

    /// A port on which nobody speaks HTTP: connections to it are carried as bytes at once
    #[arg(
        long = "opaque-port",
        value_name = "PORT",
        env = "MESH_PROXY_OPAQUE_PORTS",
        value_delimiter = ',',
        default_value = "25,587,3306,4444,5432,6379,9300,11211"
    )]
    pub opaque_ports: Vec<u16>,

    /// Standalone: listen here, send everything to --forward
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_PROXY_LISTEN",
        requires = "forward"
    )]
    pub listen: Option<SocketAddr>,

    /// Standalone: where requests go; names are resolved again every 30 s
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "MESH_PROXY_FORWARD",
        value_delimiter = ',',
        requires = "listen"
    )]
    pub forward: Vec<String>,

    /// Standalone: a ServiceProfile manifest, read again when it changes
    #[arg(
        long,
        value_name = "FILE",
        env = "MESH_PROXY_PROFILE",
        requires = "listen"
    )]
    pub profile: Option<PathBuf>,

    /// Where /metrics, /live, /ready, /shutdown and the tap service are
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_PROXY_ADMIN",
        default_value = "127.0.0.1:4191"
    )]
    pub admin: SocketAddr,

    /// The controller's gRPC address
    #[arg(long, value_name = "HOST:PORT", env = "MESH_PROXY_CONTROL")]
    pub control: Option<String>,

    /// The namespace in which short names are looked up
    #[arg(
        long,
        value_name = "NS",
        env = "MESH_PROXY_NAMESPACE",
        default_value = "default"
    )]
    pub namespace: String,

    /// The domain of the cluster's names: a short name that the controller refuses is asked for
    /// again in full
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "MESH_PROXY_CLUSTER_DOMAIN",
        default_value = "cluster.local"
    )]
    pub cluster_domain: String,

    /// A label of every metric and of tap: namespace, pod, deployment...
    #[arg(
        long = "label",
        value_name = "KEY=VALUE",
        env = "MESH_PROXY_LABELS",
        value_delimiter = ','
    )]
    pub labels: Vec<Label>,

    /// Threads that carry requests [default: the number of cores]
    #[arg(long, value_name = "N", env = "MESH_PROXY_WORKERS",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// Drain and exit when standard input reaches its end
    #[arg(long, env = "MESH_PROXY_LIFELINE")]
    pub lifeline: bool,

    /// Filter of the log, in the syntax of RUST_LOG
    #[arg(
        long,
        value_name = "FILTER",
        env = "MESH_PROXY_LOG",
        default_value = "warn"
    )]
    pub log: String,

    /// Bounds
    #[command(flatten)]
    pub limits: Limits,
}

/// `ADDR=TARGET`: a listener and the one place its requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Where to listen.
    pub addr: SocketAddr,
    /// The authority, or the address of the application.
    pub target: String,
}

impl FromStr for Fixed {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (addr, target) = text
            .split_once('=')
            .context("expected ADDR=HOST:PORT, with an equals sign")?;
        target
            .parse::<http::uri::Authority>()
            .with_context(|| format!("`{target}` is not HOST:PORT"))?;
        Ok(Self {
            addr: addr
                .parse()
                .with_context(|| format!("`{addr}` is not IP:PORT"))?,
            target: target.into(),
        })
    }
}

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name, as Prometheus spells label names.
    pub key: String,
    /// The value, anything.
    pub value: String,
}

impl FromStr for Label {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (key, value) = text.split_once('=').context("expected KEY=VALUE")?;
        let mut chars = key.chars();
        let starts = chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            bail!("`{key}` is not a label name: letters, digits and underscores");
        }
        Ok(Self {
            key: key.into(),
            value: value.into(),
        })
    }
}

/// A length of time above zero, as Go writes it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match mesh_profile::duration::parse(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a duration such as 300ms, 2s or 1m30s".into()),
    }
}

/// A length of time, as Go writes it; 0s switches off.
pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    mesh_profile::duration::parse(text)
        .map_err(|_| "expected a duration such as 300ms, 2s or 0s".into())
}

/// A number above zero.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("expected a number above zero".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_durations_are_checked() {
        assert!(Fixed::from_str("127.0.0.1:1").is_err());
        assert!(Fixed::from_str("localhost:1=a:1").is_err());
        let fixed = Fixed::from_str("127.0.0.1:1=books:7002").unwrap();
        assert_eq!(fixed.target, "books:7002");
        assert!(Label::from_str("a-b=c").is_err());
        assert_eq!(Label::from_str("a=b=c").unwrap().value, "b=c");
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["10", "", "0s", "-1s", "1x"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
