use crate::StateDir;
use mesh_manifest::names::check_subdomain;
use std::{net::SocketAddr, path::PathBuf};

/// The arguments of the controller, alone and as `mesh controller`.
///
/// Each flag is also an environment variable; the flag wins.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder that holds resources and whatever else must not be forgotten
    #[arg(
        long,
        value_name = "DIR",
        env = "MESH_CONTROLLER_STATE_DIR",
        default_value = ".mesh"
    )]
    pub state_dir: PathBuf,

    /// Where sidecars ask for destinations
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_CONTROLLER_GRPC",
        default_value = "127.0.0.1:8086"
    )]
    pub grpc: SocketAddr,

    /// The address of the read-only API; loopback only
    #[arg(
        long,
        value_name = "ADDR",
        env = "MESH_CONTROLLER_HTTP",
        default_value = "127.0.0.1:8085",
        value_parser = loopback
    )]
    pub http: SocketAddr,

    /// The domain that full names of services end in
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "MESH_CONTROLLER_CLUSTER_DOMAIN",
        default_value = "cluster.local",
        value_parser = domain
    )]
    pub cluster_domain: String,

    /// The Prometheus server that canary releases query, as http://HOST:PORT
    #[arg(long, value_name = "URL", env = "MESH_CONTROLLER_PROMETHEUS")]
    pub prometheus: Option<String>,

    /// The log filter: a level, or a filter like `mesh_controller=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "MESH_CONTROLLER_LOG",
        default_value = "info"
    )]
    pub log: String,

    /// End when standard input ends, as it does when the parent process ends
    #[arg(long)]
    pub lifeline: bool,
}

/// Settings of a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The state folder.
    pub state: StateDir,
    /// The address of the gRPC services.
    pub grpc: SocketAddr,
    /// The address of the read-only API.
    pub http: SocketAddr,
    /// The domain that full names of services end in.
    pub cluster_domain: String,
    /// The address of the Prometheus server that canary releases query.
    pub prometheus: Option<String>,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        Self {
            state: StateDir::new(args.state_dir),
            grpc: args.grpc,
            http: args.http,
            cluster_domain: args.cluster_domain,
            prometheus: args.prometheus,
        }
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let addr: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    match addr.ip().is_loopback() {
        true => Ok(addr),
        false => Err("the API is for this machine only; give a loopback address".into()),
    }
}

fn domain(text: &str) -> Result<String, String> {
    check_subdomain(text).map_err(|error| error.to_string())?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn config(args: &[&str]) -> Result<Config, clap::Error> {
        let args = std::iter::once("controller").chain(args.iter().copied());
        Program::try_parse_from(args).map(|program| program.args.into())
    }

    #[test]
    fn the_api_is_never_offered_to_the_network() {
        assert!(config(&["--http", "[::1]:0"]).is_ok());
        let error = config(&["--http", "0.0.0.0:80"]).unwrap_err().to_string();
        assert!(
            error.contains("--http") && error.contains("this machine only"),
            "{error}"
        );
    }

    #[test]
    fn a_domain_is_checked() {
        assert!(config(&["--cluster-domain", "local"]).is_ok());
        assert!(config(&["--cluster-domain", ".local"]).is_err());
    }
}
