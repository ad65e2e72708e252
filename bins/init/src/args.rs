use crate::{Family, Ports, Rules, Subnet, apply, remove};
use anyhow::Context as _;
use std::{fs, io::Write as _, path::PathBuf};

/// For how long the kernel remembers connections that one side has closed, in seconds.
const CLOSE_WAIT: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";

/// The flags of `mesh-init` and of `mesh redirect`, named as those of `linkerd-init` are.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Port that calls for the program are redirected to: the sidecar's --transparent-inbound
    #[arg(long, value_name = "PORT", default_value = "4143", value_parser = port())]
    pub incoming_proxy_port: u16,

    /// Port that the program's own calls are redirected to: the sidecar's --transparent-outbound
    #[arg(long, value_name = "PORT", default_value = "4140", value_parser = port())]
    pub outgoing_proxy_port: u16,

    /// The user that the sidecar runs as, whose calls are not redirected
    #[arg(long, value_name = "UID", default_value = "2102")]
    pub proxy_uid: u32,

    /// The group that the sidecar runs as, likewise
    #[arg(long, value_name = "GID")]
    pub proxy_gid: Option<u32>,

    /// Ports of the program that are called past the sidecar: 80, or 8000-8010
    #[arg(
        long,
        value_name = "PORTS",
        default_value = "4190,4191,4567,4568",
        value_delimiter = ','
    )]
    pub inbound_ports_to_ignore: Vec<Ports>,

    /// Ports that the program calls past the sidecar
    #[arg(
        long,
        value_name = "PORTS",
        default_value = "4567,4568",
        value_delimiter = ','
    )]
    pub outbound_ports_to_ignore: Vec<Ports>,

    /// Calls from and to these addresses go past the sidecar
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub subnets_to_ignore: Vec<Subnet>,

    /// The only ports of the program whose calls are redirected [default: all]
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub ports_to_redirect: Vec<Ports>,

    /// Seconds for which the kernel remembers half-closed connections
    #[arg(long, value_name = "SECONDS")]
    pub timeout_close_wait_secs: Option<u32>,

    /// Redirect IPv6, too
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    pub ipv6: bool,

    /// The firewall's program, as iptables-nft or iptables-legacy
    #[arg(long, value_name = "PATH", default_value = "iptables")]
    pub firewall_bin_path: PathBuf,

    /// Print what iptables-restore would be told, and change nothing
    #[arg(long, visible_alias = "simulate")]
    pub dry_run: bool,
}

fn port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
}

impl From<&Args> for Rules {
    fn from(args: &Args) -> Self {
        Self {
            inbound_to: args.incoming_proxy_port,
            outbound_to: args.outgoing_proxy_port,
            proxy_uid: Some(args.proxy_uid),
            proxy_gid: args.proxy_gid,
            inbound_skip: args.inbound_ports_to_ignore.clone(),
            outbound_skip: args.outbound_ports_to_ignore.clone(),
            inbound_only: args.ports_to_redirect.clone(),
            subnets_skip: args.subnets_to_ignore.clone(),
        }
    }
}

/// Removes the rules of earlier calls. Returns false if there were none.
///
/// # Errors
///
/// As [`remove`].
pub fn undo(args: &Args) -> anyhow::Result<bool> {
    let mut families = vec![Family::V4];
    if args.ipv6 {
        families.push(Family::V6);
    }
    let mut removed = false;
    for family in families {
        removed |= remove(family, &args.firewall_bin_path)?;
    }
    Ok(removed)
}

/// Does what `args` say.
///
/// # Errors
///
/// As [`apply()`]; or the output is closed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let rules = Rules::from(args);
    let mut families = vec![Family::V4];
    if args.ipv6 {
        families.push(Family::V6);
    }
    if args.dry_run {
        let mut out = std::io::stdout().lock();
        for family in families {
            let name = match family {
                Family::V4 => "iptables",
                Family::V6 => "ip6tables",
            };
            write!(out, "# {name}\n{}", rules.restore(family, ""))?;
        }
        return Ok(());
    }
    for family in families {
        apply(&rules, family, &args.firewall_bin_path)?;
    }
    if let Some(seconds) = args.timeout_close_wait_secs {
        fs::write(CLOSE_WAIT, seconds.to_string())
            .with_context(|| format!("--timeout-close-wait-secs: cannot write {CLOSE_WAIT}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    fn rules(line: &str) -> Rules {
        let command = Args::augment_args(clap::Command::new("mesh-init"));
        let matches = command.get_matches_from(line.split(' '));
        let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        Rules::from(&args)
    }

    #[test]
    fn the_ports_of_the_sidecar_itself_are_left_alone_unless_others_are_named() {
        let usual = rules("mesh-init");
        assert_eq!(
            usual,
            Rules {
                inbound_skip: [4190, 4191, 4567, 4568].map(Ports::from).into(),
                outbound_skip: [4567, 4568].map(Ports::from).into(),
                ..Rules::default()
            }
        );
        let other = rules("mesh-init --ipv6=false --simulate --inbound-ports-to-ignore 1-2,3");
        assert_eq!(other.inbound_skip, ["1-2".parse().unwrap(), Ports::from(3)]);
    }
}
