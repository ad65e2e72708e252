use super::{Proxy, Wrap, configuration, spawn};
use crate::setup::{World, free_port};
use std::{fmt::Write as _, process::Command};

/// One thread, connections shared, retries on another server; HTTP/2 on both sides, HTTP/1 on
/// both sides, and bytes.
pub(super) fn start(world: &World, wrap: &Wrap) -> anyhow::Result<Proxy> {
    let (http1, http2, opaque) = (free_port()?, free_port()?, free_port()?);
    let servers = |options: &str| {
        let mut servers = String::new();
        for (n, endpoint) in world.endpoints().into_iter().enumerate() {
            let _ = writeln!(servers, "  server s{n} {endpoint} {options}");
        }
        servers
    };
    let text = format!(
        "global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 10s
  timeout http-keep-alive 60s
  option redispatch
  retries 2
  retry-on conn-failure empty-response 503
  http-reuse always
  balance leastconn
listen web
  bind 127.0.0.1:{http1}
{}listen web2
  bind 127.0.0.1:{http2} proto h2
{}listen bytes
  mode tcp
  bind 127.0.0.1:{opaque}
{}",
        servers("pool-max-conn 512"),
        servers("proto h2"),
        servers("")
    );
    let file = configuration(world, "haproxy.cfg", &text)?;
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-f", &file]).envs(wrap.iter().cloned());
    Ok(Proxy {
        running: spawn(&mut command, http1)?,
        http1,
        http2,
        opaque: Some(opaque),
    })
}
