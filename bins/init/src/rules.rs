use crate::{Ports, Subnet};
use std::fmt::{self, Write as _};

/// The chain of calls for the program.
const INBOUND: &str = "PROXY_INIT_REDIRECT";
/// The chain of the program's own calls.
const OUTBOUND: &str = "PROXY_INIT_OUTPUT";

/// The redirected connections and the exceptions. Only TCP is redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Port of the sidecar for calls to the program.
    pub inbound_to: u16,
    /// Port of the sidecar for the program's own calls.
    pub outbound_to: u16,
    /// The user that the sidecar runs as: its own calls pass.
    pub proxy_uid: Option<u32>,
    /// The group that it runs as, likewise.
    pub proxy_gid: Option<u32>,
    /// The ports on which calls pass by the sidecar.
    pub inbound_skip: Vec<Ports>,
    /// The ports that the program calls past the sidecar.
    pub outbound_skip: Vec<Ports>,
    /// The only ports on which calls are redirected; all, if there are none.
    pub inbound_only: Vec<Ports>,
    /// Calls from and to these pass by the sidecar.
    pub subnets_skip: Vec<Subnet>,
}

/// The firewalls of IPv4 and IPv6 are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `iptables`.
    V4,
    /// `ip6tables`.
    V6,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            inbound_to: 4143,
            outbound_to: 4140,
            proxy_uid: Some(2102),
            proxy_gid: None,
            inbound_skip: Vec::new(),
            outbound_skip: Vec::new(),
            inbound_only: Vec::new(),
            subnets_skip: Vec::new(),
        }
    }
}

impl Rules {
    /// Returns input for `iptables-restore --noflush` that replaces the rules of an earlier run in
    /// one step. `saved` is the output of `iptables-save -t nat`; jumps that exist are not added
    /// again.
    pub fn restore(&self, family: Family, saved: &str) -> String {
        let mut text = Text::new(saved);
        self.inbound(family, &mut text);
        self.outbound(family, &mut text);
        text.finish()
    }

    fn inbound(&self, family: Family, text: &mut Text<'_>) {
        for subnet in self.subnets(family) {
            let name = format!("ignore-subnet-{subnet}");
            text.rule(INBOUND, format_args!("-s {subnet} -j RETURN"), &name);
        }
        for ports in Ports::lists(&self.inbound_skip) {
            text.skip(INBOUND, &ports);
        }
        let redirect = format!("-j REDIRECT --to-ports {}", self.inbound_to);
        if self.inbound_only.is_empty() {
            let name = "redirect-all-incoming-to-proxy-port";
            text.rule(INBOUND, format_args!("-p tcp {redirect}"), name);
        }
        for ports in Ports::lists(&self.inbound_only) {
            let name = format!("redirect-port-{ports}-to-proxy-port");
            let rule = format_args!("-p tcp -m multiport --dports {ports} {redirect}");
            text.rule(INBOUND, rule, &name);
        }
        text.jump("PREROUTING", INBOUND, "install-proxy-init-prerouting");
    }

    fn outbound(&self, family: Family, text: &mut Text<'_>) {
        // First of all: a call of the sidecar's own must never come back to it.
        if let Some(uid) = self.proxy_uid {
            let rule = format_args!("-m owner --uid-owner {uid} -j RETURN");
            text.rule(OUTBOUND, rule, "ignore-proxy-user-id");
        }
        if let Some(gid) = self.proxy_gid {
            let rule = format_args!("-m owner --gid-owner {gid} -j RETURN");
            text.rule(OUTBOUND, rule, "ignore-proxy-group-id");
        }
        text.rule(OUTBOUND, format_args!("-o lo -j RETURN"), "ignore-loopback");
        for subnet in self.subnets(family) {
            let name = format!("ignore-subnet-{subnet}");
            text.rule(OUTBOUND, format_args!("-d {subnet} -j RETURN"), &name);
        }
        for ports in Ports::lists(&self.outbound_skip) {
            text.skip(OUTBOUND, &ports);
        }
        text.rule(
            OUTBOUND,
            format_args!("-p tcp -j REDIRECT --to-ports {}", self.outbound_to),
            "redirect-all-outgoing-to-proxy-port",
        );
        text.jump("OUTPUT", OUTBOUND, "install-proxy-init-output");
    }

    fn subnets(&self, family: Family) -> impl Iterator<Item = &Subnet> {
        let v4 = family == Family::V4;
        let subnets = self.subnets_skip.iter();
        subnets.filter(move |subnet| subnet.addr.is_ipv4() == v4)
    }
}

/// Returns input for `iptables-restore --noflush` that removes both chains and the jumps to them, if
/// `saved`, the output of `iptables-save -t nat`, has any.
pub(crate) fn removal(saved: &str) -> Option<String> {
    let chains = [INBOUND, OUTBOUND];
    let is_chain = |chain: &&&str| {
        let start = format!(":{chain} ");
        saved.lines().any(|line| line.starts_with(&start))
    };
    let chains: Vec<_> = chains.iter().filter(is_chain).collect();
    if chains.is_empty() {
        return None;
    }
    let mut text = "*nat\n".to_owned();
    for chain in &chains {
        let _ = writeln!(text, ":{chain} - [0:0]");
    }
    for line in saved.lines() {
        let rule = line.trim_end().strip_prefix("-A ");
        let is_jump = |rule: &&str| {
            let mut to = chains.iter();
            to.any(|chain| rule.ends_with(&format!("-j {chain}")))
        };
        if let Some(rule) = rule.filter(is_jump) {
            let _ = writeln!(text, "-D {rule}");
        }
    }
    for chain in &chains {
        let _ = writeln!(text, "-X {chain}");
    }
    text.push_str("COMMIT\n");
    Some(text)
}

/// The text, as it grows.
struct Text<'a> {
    saved: &'a str,
    text: String,
}

impl<'a> Text<'a> {
    fn new(saved: &'a str) -> Self {
        // To name a chain is to make it, or to empty it.
        let text = format!("*nat\n:{INBOUND} - [0:0]\n:{OUTBOUND} - [0:0]\n");
        Self { saved, text }
    }

    fn rule(&mut self, chain: &str, rule: fmt::Arguments<'_>, name: &str) {
        // A longer comment is refused.
        let name: String = name.chars().take(200).collect();
        let comment = format_args!("-m comment --comment \"proxy-init/{name}\"");
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "-A {chain} {comment} {rule}");
    }

    fn skip(&mut self, chain: &str, ports: &str) {
        let rule = format_args!("-p tcp -m multiport --dports {ports} -j RETURN");
        self.rule(chain, rule, &format!("ignore-port-{ports}"));
    }

    /// Leads from a chain of the kernel's to one of ours, unless something does already.
    fn jump(&mut self, from: &str, to: &str, name: &str) {
        let is_jump = |line: &str| {
            let mut words = line.split_whitespace();
            let from = words.next() == Some("-A") && words.next() == Some(from);
            from && line.trim_end().ends_with(&format!("-j {to}"))
        };
        if !self.saved.lines().any(is_jump) {
            self.rule(from, format_args!("-j {to}"), name);
        }
    }

    fn finish(mut self) -> String {
        self.text.push_str("COMMIT\n");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_a_pod_with_nothing_special() {
        let rules = Rules {
            inbound_skip: [4190, 4191].map(Ports::from).into(),
            ..Rules::default()
        };
        let text = r#"*nat
:PROXY_INIT_REDIRECT - [0:0]
:PROXY_INIT_OUTPUT - [0:0]
-A PROXY_INIT_REDIRECT -m comment --comment "proxy-init/ignore-port-4190,4191" -p tcp -m multiport --dports 4190,4191 -j RETURN
-A PROXY_INIT_REDIRECT -m comment --comment "proxy-init/redirect-all-incoming-to-proxy-port" -p tcp -j REDIRECT --to-ports 4143
-A PREROUTING -m comment --comment "proxy-init/install-proxy-init-prerouting" -j PROXY_INIT_REDIRECT
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/ignore-proxy-user-id" -m owner --uid-owner 2102 -j RETURN
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/ignore-loopback" -o lo -j RETURN
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/redirect-all-outgoing-to-proxy-port" -p tcp -j REDIRECT --to-ports 4140
-A OUTPUT -m comment --comment "proxy-init/install-proxy-init-output" -j PROXY_INIT_OUTPUT
COMMIT
"#;
        assert_eq!(rules.restore(Family::V4, ""), text);
        assert_eq!(rules.restore(Family::V6, ""), text);
    }

    #[test]
    fn what_is_to_be_left_alone_is_left_alone_before_anything_is_redirected() {
        let rules = Rules {
            inbound_to: 1,
            outbound_to: 2,
            proxy_uid: None,
            proxy_gid: Some(7),
            outbound_skip: vec![25.into(), "8000-8010".parse().unwrap()],
            inbound_only: vec![80.into()],
            subnets_skip: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..Rules::default()
        };
        let text = r#"*nat
:PROXY_INIT_REDIRECT - [0:0]
:PROXY_INIT_OUTPUT - [0:0]
-A PROXY_INIT_REDIRECT -m comment --comment "proxy-init/ignore-subnet-fd00::/8" -s fd00::/8 -j RETURN
-A PROXY_INIT_REDIRECT -m comment --comment "proxy-init/redirect-port-80-to-proxy-port" -p tcp -m multiport --dports 80 -j REDIRECT --to-ports 1
-A PREROUTING -m comment --comment "proxy-init/install-proxy-init-prerouting" -j PROXY_INIT_REDIRECT
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/ignore-proxy-group-id" -m owner --gid-owner 7 -j RETURN
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/ignore-loopback" -o lo -j RETURN
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/ignore-subnet-fd00::/8" -d fd00::/8 -j RETURN
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/ignore-port-25,8000:8010" -p tcp -m multiport --dports 25,8000:8010 -j RETURN
-A PROXY_INIT_OUTPUT -m comment --comment "proxy-init/redirect-all-outgoing-to-proxy-port" -p tcp -j REDIRECT --to-ports 2
-A OUTPUT -m comment --comment "proxy-init/install-proxy-init-output" -j PROXY_INIT_OUTPUT
COMMIT
"#;
        assert_eq!(rules.restore(Family::V6, ""), text);
        let v4 = rules.restore(Family::V4, "");
        assert!(v4.contains("10.0.0.0/8") && !v4.contains("fd00"), "{v4}");
    }

    #[test]
    fn jumps_that_are_there_are_not_made_again() {
        let rules = Rules::default();
        let saved = "*nat\n:PREROUTING ACCEPT [0:0]\n\
                     -A PREROUTING -m comment --comment \"proxy-init/x\" -j PROXY_INIT_REDIRECT\n\
                     -A OUTPUT -p tcp -j OTHER\nCOMMIT\n";
        let text = rules.restore(Family::V4, saved);
        assert!(!text.contains("-A PREROUTING"), "{text}");
        assert!(text.contains("-A OUTPUT"), "{text}");
    }
}
