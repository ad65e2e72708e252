use anyhow::{Context as _, bail};
use std::{fmt, net::IpAddr, str::FromStr};

/// A port, or all from one to another: `80` or `8000-8010`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// The most entries that one rule of the firewall may have; a range counts twice.
    const PER_RULE: usize = 15;

    fn entries(self) -> usize {
        if self.first == self.last { 1 } else { 2 }
    }

    /// The ports as the firewall reads lists of them, as many in each as one rule may have.
    pub(crate) fn lists(all: &[Self]) -> Vec<String> {
        let mut lists: Vec<String> = Vec::new();
        let mut room = 0;
        for ports in all {
            if ports.entries() > room {
                lists.push(String::new());
                room = Self::PER_RULE;
            }
            room -= ports.entries();
            if let Some(list) = lists.last_mut() {
                if !list.is_empty() {
                    list.push(',');
                }
                list.push_str(&ports.to_string());
            }
        }
        lists
    }
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

impl FromStr for Ports {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let port = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .with_context(|| format!("`{text}` is not a port: expected 1 to 65535"))
        };
        let (first, last) = match text.split_once(['-', ':']) {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            bail!("`{text}` ends before it begins");
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}:{}", self.first, self.last),
        }
    }
}

/// Addresses that begin alike: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Any address of it.
    pub addr: IpAddr,
    /// Length of the prefix in bits.
    pub bits: u8,
}

impl FromStr for Subnet {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("`{text}` is not a subnet such as 10.0.0.0/8");
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr, Some(bits)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().with_context(wrong)?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().with_context(wrong)?,
            None => most,
        };
        if bits > most {
            bail!(wrong());
        }
        Ok(Self { addr, bits })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_subnets_are_checked() {
        for (text, shown) in [
            ("80", Some("80")),
            ("1-2", Some("1:2")),
            ("3:3", Some("3")),
            ("0", None),
            ("2-1", None),
            ("65536", None),
            ("a", None),
        ] {
            let ports = text.parse::<Ports>().ok().map(|ports| ports.to_string());
            assert_eq!(ports.as_deref(), shown, "{text}");
        }
        for (text, shown) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("fd00::/8", Some("fd00::/8")),
            ("10.0.0.0/33", None),
            ("ten/8", None),
        ] {
            let subnet = text.parse::<Subnet>().ok().map(|subnet| subnet.to_string());
            assert_eq!(subnet.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_list_has_at_most_fifteen_entries_where_a_range_counts_twice() {
        let mut all: Vec<Ports> = (1..=14).map(Ports::from).collect();
        all.push("20-30".parse().unwrap());
        all.push(40.into());
        assert_eq!(
            Ports::lists(&all),
            ["1,2,3,4,5,6,7,8,9,10,11,12,13,14", "20:30,40"]
        );
        assert!(Ports::lists(&[]).is_empty());
    }
}
