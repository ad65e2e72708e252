//! The network of a transparent mesh: a switch, a pod for each replica, addresses for services.
//!
//! All of it is in namespaces without names, but for this machine's own end of one cable, which
//! disappears with its other end. So nothing is left of a mesh whose `mesh up` is killed.

use super::{
    netns::{self, Netns},
    program,
};
use anyhow::{Context as _, Result, bail};
use mesh_init::{Family, Rules};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// The user that sidecars run as, as Linkerd's do.
pub(crate) const PROXY_UID: u32 = 2102;
/// Where sidecars take redirected calls of their programs.
pub(crate) const OUTBOUND: u16 = 4140;
/// Where sidecars take redirected calls for their programs.
pub(crate) const INBOUND: u16 = 4143;
/// Their admin listeners.
pub(crate) const ADMIN: u16 = 4191;
/// Networks to choose from: 10.200.0.0/16 and so on.
const FIRST_NETWORK: u8 = 200;
const NETWORKS: u8 = 55;
/// The host's number in the network.
const HOST: u16 = 1;
/// The pods' numbers, and then those of services.
const PODS: std::ops::Range<u16> = 0x0100..0x8000;
const SERVICES: std::ops::Range<u16> = 0x8000..0xff00;

/// The network of a mesh: its bridge, namespaces and addresses.
#[derive(Debug)]
pub(crate) struct Network {
    /// The namespace of the switch, apart from the host's firewall.
    switch: Netns,
    number: u8,
    has_v6: bool,
    /// Names of the pods by their numbers.
    pods: BTreeMap<u16, String>,
    namespace: String,
    /// The number that a pod got last.
    last: u16,
    services: BTreeMap<String, u16>,
    hosts: PathBuf,
}

/// A pod: a namespace with a cable to the switch and a firewall.
#[derive(Debug)]
pub(crate) struct Pod {
    netns: Netns,
    number: u16,
    pub(crate) address: IpAddr,
    pub(crate) has_v6: bool,
    pub(crate) hosts: PathBuf,
}

/// Refuses what cannot work, with what is missing.
pub(crate) fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("`mesh up --transparent` makes network namespaces and firewalls, which needs root");
    }
    let path = std::env::var_os("PATH");
    for (name, package) in [
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
        ("iptables-save", "iptables"),
        ("iptables-restore", "iptables"),
    ] {
        if program::find(name, Path::new("/"), path.as_deref()).is_none() {
            bail!(
                "`mesh up --transparent` needs the program `{name}`, which is not in the PATH; on \
                 Debian: apt install {package}"
            );
        }
    }
    Ok(())
}

impl Network {
    /// Makes the switch and connects this machine to it. `run_dir` gets the file of names, which
    /// are those of `namespace`.
    pub(crate) fn start(run_dir: &Path, namespace: &str) -> Result<Self> {
        check()?;
        let number = free_network()?;
        let network = Self {
            switch: Netns::new()?,
            number,
            has_v6: Path::new("/proc/net/if_inet6").exists(),
            pods: BTreeMap::new(),
            namespace: namespace.to_owned(),
            last: PODS.end - 1,
            services: BTreeMap::new(),
            hosts: run_dir.join("hosts"),
        };
        let switch = network.switch.path();
        let link = format!("mesh{number}");
        network
            .switch
            .ip("link set lo up\nlink add switch type bridge\nlink set switch up\n")?;
        let mut lines = format!(
            "link add {link} type veth peer name host netns {}\n",
            switch.display()
        );
        network.addresses(&mut lines, &link, HOST);
        netns::ip(&lines)?;
        network
            .switch
            .ip("link set host master switch\nlink set host up\n")?;
        network.write_hosts()?;
        Ok(network)
    }

    /// This machine, as pods see it.
    pub(crate) fn host(&self) -> IpAddr {
        self.v4(HOST).into()
    }

    /// A new pod called `name`, with its firewall. Other pods find its address by its name.
    pub(crate) fn pod(&mut self, name: &str) -> Result<Arc<Pod>> {
        // The cable of a pod that has just ended may still be there, and so may its name.
        let numbers = (self.last + 1..PODS.end).chain(PODS);
        let mut free = numbers.filter(|number| !self.pods.contains_key(number));
        let number = free.next().context("too many pods")?;
        self.last = number;
        let netns = Netns::new()?;
        let link = format!("pod{number}");
        self.switch.ip(&format!(
            "link add {link} type veth peer name eth0 netns {}\nlink set {link} master switch\n\
             link set {link} up\n",
            netns.path().display()
        ))?;
        let mut lines = "link set lo up\n".to_owned();
        self.addresses(&mut lines, "eth0", number);
        let _ = writeln!(lines, "route add default via {}", self.v4(HOST));
        netns.ip(&lines)?;
        let rules = Rules {
            inbound_to: INBOUND,
            outbound_to: OUTBOUND,
            proxy_uid: Some(PROXY_UID),
            inbound_skip: vec![ADMIN.into()],
            ..Rules::default()
        };
        let families = [Family::V4, Family::V6];
        let families = if self.has_v6 {
            &families[..]
        } else {
            &families[..1]
        };
        netns.within(|| {
            let iptables = Path::new("iptables");
            let mut families = families.iter();
            families.try_for_each(|family| mesh_init::apply(&rules, *family, iptables))
        })?;
        self.pods.insert(number, name.to_owned());
        self.write_hosts()?;
        Ok(Arc::new(Pod {
            netns,
            number,
            address: self.v4(number).into(),
            has_v6: self.has_v6,
            hosts: self.hosts.clone(),
        }))
    }

    /// Takes the number of a pod back.
    pub(crate) fn release(&mut self, pod: &Pod) {
        self.pods.remove(&pod.number);
        // A name that stays a while longer harms nobody.
        let _ = self.write_hosts();
    }

    /// The addresses of `service`, which the firewalls of pods redirect: nobody has them.
    pub(crate) fn service(&mut self, service: &str) -> Result<Vec<IpAddr>> {
        let number = match self.services.get(service) {
            Some(number) => *number,
            None => {
                let taken: BTreeSet<u16> = self.services.values().copied().collect();
                let free = SERVICES.clone().find(|number| !taken.contains(number));
                let number = free.context("too many services")?;
                self.services.insert(service.to_owned(), number);
                self.write_hosts()?;
                number
            }
        };
        Ok(self.both(number))
    }

    fn both(&self, number: u16) -> Vec<IpAddr> {
        let mut both = vec![self.v4(number).into()];
        if self.has_v6 {
            both.push(self.v6(number).into());
        }
        both
    }

    fn v4(&self, number: u16) -> Ipv4Addr {
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(10, self.number, high, low)
    }

    /// In the network `fd6d:6573:68NN::/64`, which begins with "mesh".
    fn v6(&self, number: u16) -> Ipv6Addr {
        let network = 0x6800 | u16::from(self.number);
        Ipv6Addr::new(0xfd6d, 0x6573, network, 0, 0, 0, 0, number)
    }

    /// Commands that give `link` the addresses of `number`.
    fn addresses(&self, lines: &mut String, link: &str, number: u16) {
        let _ = writeln!(lines, "addr add {}/16 dev {link}", self.v4(number));
        if self.has_v6 {
            let _ = writeln!(lines, "addr add {}/64 dev {link} nodad", self.v6(number));
        }
        let _ = writeln!(lines, "link set {link} up");
    }

    /// Writes what pods have for `/etc/hosts`: where it is, not beside it, since a file that is
    /// mounted elsewhere stays the one it was.
    fn write_hosts(&self) -> Result<()> {
        let namespace = &self.namespace;
        let mut text = "# Names of the mesh; written by `mesh up`.\n".to_owned();
        for (service, number) in &self.services {
            for address in self.both(*number) {
                let _ = writeln!(
                    text,
                    "{address} {service} {service}.{namespace} {service}.{namespace}.svc \
                     {service}.{namespace}.svc.cluster.local"
                );
            }
        }
        for (number, pod) in &self.pods {
            for address in self.both(*number) {
                let _ = writeln!(text, "{address} {pod}");
            }
        }
        text.push_str(&fs::read_to_string("/etc/hosts").unwrap_or_default());
        fs::write(&self.hosts, text).with_context(|| format!("writing {}", self.hosts.display()))
    }
}

impl Pod {
    /// Where other processes find its namespace.
    pub(crate) fn path(&self) -> PathBuf {
        self.netns.path()
    }
}

/// A network that no route of this machine leads to.
fn free_network() -> Result<u8> {
    let output = Command::new("ip")
        .args(["-4", "route", "show", "table", "all"])
        .output()
        .context("cannot start ip")?;
    let routes = String::from_utf8_lossy(&output.stdout);
    let first = u8::try_from(std::process::id() % u32::from(NETWORKS)).unwrap_or_default();
    let candidates = (0..NETWORKS).map(|n| FIRST_NETWORK + (first + n) % NETWORKS);
    let mut free = candidates.filter(|number| !is_routed(&routes, *number));
    free.next()
        .context("no network of 10.200.0.0/16 to 10.254.0.0/16 is free on this machine")
}

fn is_routed(routes: &str, number: u8) -> bool {
    let prefix = format!("10.{number}.");
    let words = routes.lines().flat_map(str::split_whitespace);
    words.into_iter().any(|word| word.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_a_route_leads_to_is_not_taken() {
        let routes = "default via 192.0.2.1 dev eth0\n10.200.0.0/16 dev mesh200 proto kernel\n";
        assert!(is_routed(routes, 200));
        assert!(!is_routed(routes, 201));
        assert!(!is_routed(routes, 20));
    }
}
