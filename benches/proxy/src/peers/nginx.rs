use super::{Proxy, Wrap, configuration, spawn};
use crate::setup::{World, free_port};
use std::{fmt::Write as _, process::Command};

/// One worker, connections to the endpoints kept, a next endpoint on errors. Its upstreams speak
/// HTTP/1, but for gRPC.
pub(super) fn start(world: &World, wrap: &Wrap) -> anyhow::Result<Proxy> {
    let (http1, http2) = (free_port()?, free_port()?);
    let mut servers = String::new();
    for endpoint in world.endpoints() {
        writeln!(servers, "    server {endpoint};")?;
    }
    let folder = world.tools.folder.display();
    let text = format!(
        "worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 100000000;
  upstream web {{
{servers}    keepalive 256;
  }}
  upstream grpc {{
{servers}    keepalive 256;
  }}
  server {{
    listen 127.0.0.1:{http1};
    listen 127.0.0.1:{http2} http2;
    http2_max_concurrent_streams 1000;
    location / {{
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_next_upstream error timeout http_502 http_503;
      proxy_read_timeout 10s;
    }}
    location /bench.Echo/ {{ grpc_pass grpc://grpc; }}
  }}
}}
"
    );
    let file = configuration(world, "nginx.conf", &text)?;
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-c", &file]).envs(wrap.iter().cloned());
    Ok(Proxy {
        running: spawn(&mut command, http1)?,
        http1,
        http2,
        opaque: None,
    })
}
