use std::{fmt, str::FromStr};

/// The longest name: that of DNS.
const MAX_BYTES: usize = 253;

/// The longest label of a name.
const MAX_LABEL: usize = 63;

/// The name by which certificates know a workload: a DNS-like name, as Linkerd's are, or a SPIFFE
/// URI.
///
/// ```
/// use mesh_identity::Identity;
///
/// let web = Identity::of_service_account("web", "shop", "linkerd", "cluster.local")?;
/// assert_eq!(web.as_str(), "web.shop.serviceaccount.identity.linkerd.cluster.local");
/// assert!("spiffe://cluster.local/ns/shop/sa/web".parse::<Identity>().is_ok());
/// # Ok::<(), mesh_identity::InvalidIdentity>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Name);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Dns(String),
    Uri(String),
}

impl Identity {
    /// The identity of a Kubernetes service account, in the form of Linkerd.
    ///
    /// # Errors
    ///
    /// [`InvalidIdentity`] if the parts give no DNS name.
    pub fn of_service_account(
        account: &str,
        namespace: &str,
        control_namespace: &str,
        trust_domain: &str,
    ) -> Result<Self, InvalidIdentity> {
        format!("{account}.{namespace}.serviceaccount.identity.{control_namespace}.{trust_domain}")
            .parse()
    }

    /// The name as a text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Dns(name) | Name::Uri(name) => name,
        }
    }

    /// Returns true for a SPIFFE URI, which is no name for a server in a TLS handshake.
    pub fn is_uri(&self) -> bool {
        matches!(self.0, Name::Uri(_))
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        match text.strip_prefix("spiffe://") {
            Some(rest) => check_spiffe(rest).map(|()| Self(Name::Uri(text.to_owned()))),
            None => check_dns(text).map(|()| Self(Name::Dns(text.to_owned()))),
        }
        .map_err(|reason| InvalidIdentity {
            text: text.chars().take(MAX_BYTES).collect(),
            reason,
        })
    }
}

/// A lower-case DNS name of two labels or more, without a dot at its end.
fn check_dns(name: &str) -> Result<(), &'static str> {
    if name.len() > MAX_BYTES {
        return Err("it is longer than 253 bytes");
    }
    let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    for label in name.split('.') {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        if bytes.len() > MAX_LABEL || !ends.iter().all(|end| end.is_some_and(|it| is_letter(*it))) {
            return Err("each part between dots has 1 to 63 letters, digits and inner hyphens");
        }
        if !bytes.iter().all(|byte| is_letter(*byte) || *byte == b'-') {
            return Err(
                "it has other characters than lower-case letters, digits, hyphens and dots",
            );
        }
    }
    match name.contains('.') {
        true => Ok(()),
        false => Err("it has no trust domain: there is no dot in it"),
    }
}

/// A trust domain and a path, by the SPIFFE ID standard, section 2.
fn check_spiffe(rest: &str) -> Result<(), &'static str> {
    const MAX_URI: usize = 2048;
    if rest.len() + "spiffe://".len() > MAX_URI {
        return Err("it is longer than 2048 bytes");
    }
    let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
    let in_domain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    if domain.is_empty() || domain.len() > 255 || !domain.bytes().all(in_domain) {
        return Err(
            "its trust domain has 1 to 255 lower-case letters, digits, hyphens, dots and underscores",
        );
    }
    if path.is_empty() {
        return Err("it names a trust domain and no workload: there is no path");
    }
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(in_path);
    match path.split('/').all(is_segment) {
        true => Ok(()),
        false => Err("each part of its path has letters, digits, hyphens, dots and underscores"),
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error of a text that is no [`Identity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidIdentity {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no identity: {}", self.text, self.reason)
    }
}

impl std::error::Error for InvalidIdentity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_names_or_spiffe_uris() {
        for good in [
            "web.shop.serviceaccount.identity.linkerd.cluster.local",
            "a-1.b",
            "spiffe://example.org/ns/a/sa/b.c_D",
        ] {
            assert_eq!(good.parse::<Identity>().unwrap().as_str(), good);
        }
        let long = format!("a.{}", "b".repeat(64));
        let longer = "a.".repeat(130) + "b";
        for bad in [
            "",
            "web",
            "Web.shop",
            "web.",
            ".web",
            "a..b",
            "-a.b",
            "a-.b",
            "a b.c",
            "*.b",
            &long,
            &longer,
            "spiffe://",
            "spiffe://a",
            "spiffe://a/",
            "spiffe://A/b",
            "spiffe://a/b/",
            "spiffe://a/../b",
            "spiffe://a/b%20c",
            "spiffe://a:80/b",
        ] {
            let error = bad.parse::<Identity>().unwrap_err();
            assert!(error.to_string().contains("is no identity: "), "{bad}");
        }
    }
}
