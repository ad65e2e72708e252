use std::{io, net::SocketAddr, time::Duration};

/// Interval at which names are resolved again.
pub(crate) const INTERVAL: Duration = Duration::from_secs(30);

/// The same interval after a failure.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The addresses of `authority`, `host[:port]`, by DNS and the hosts file; no more than `most`.
pub(crate) async fn resolve(authority: &str, most: usize) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = split(authority)?;
    let addrs = tokio::net::lookup_host((host, port)).await?;
    let mut addrs: Vec<_> = addrs.collect();
    addrs.sort();
    addrs.dedup();
    if addrs.len() > most {
        tracing::debug!(authority, limit = "--max-addresses", "not all are used");
        addrs.truncate(most);
    }
    Ok(addrs)
}

/// Host, without the brackets of an IPv6 address, and port, 80 if there is none.
fn split(authority: &str) -> io::Result<(&str, u16)> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not host:port");
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| invalid())?),
        _ => (authority, 80),
    };
    let host = host
        .strip_prefix('[')
        .map_or(Some(host), |h| h.strip_suffix(']'));
    match host {
        Some(host) if !host.is_empty() => Ok((host, port)),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_80_unless_given() {
        assert_eq!(split("books").unwrap(), ("books", 80));
        assert_eq!(split("books:7002").unwrap(), ("books", 7002));
        assert_eq!(split("[::1]").unwrap(), ("::1", 80));
        assert_eq!(split("[::1]:8").unwrap(), ("::1", 8));
        for bad in ["", ":80", "books:x", "[::1:80", "books:70000"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
