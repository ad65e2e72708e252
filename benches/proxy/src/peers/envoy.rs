use super::{Proxy, Wrap, configuration, spawn};
use crate::setup::{World, free_port};
use std::{fmt::Write as _, process::Command};

/// One worker; router, retries and timeout on. The upstream protocol is that of the request.
pub(super) fn start(world: &World, wrap: &Wrap) -> anyhow::Result<Proxy> {
    let port = free_port()?;
    let mut endpoints = String::new();
    for backend in &world.backends {
        write!(
            endpoints,
            "
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {backend}}}}}}}"
        )?;
    }
    let text = format!(
        "static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          codec_type: AUTO
          http2_protocol_options: {{max_concurrent_streams: 1000}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{prefix: /}}
                route:
                  cluster: web
                  timeout: 10s
                  retry_policy: {{retry_on: '5xx,reset,connect-failure', num_retries: 2}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: web
    connect_timeout: 1s
    type: STATIC
    lb_policy: LEAST_REQUEST
    circuit_breakers: {{thresholds: [{{max_connections: 4096, max_requests: 8192, max_pending_requests: 8192}}]}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        use_downstream_protocol_config: {{http2_protocol_options: {{max_concurrent_streams: 1000}}}}
    load_assignment:
      cluster_name: web
      endpoints:
      - lb_endpoints:{endpoints}
"
    );
    let file = configuration(world, "envoy.yaml", &text)?;
    let mut command = Command::new(&world.tools.envoy);
    command.args([
        "-c",
        &file,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "off",
    ]);
    command.envs(wrap.iter().cloned());
    Ok(Proxy {
        running: spawn(&mut command, port)?,
        http1: port,
        http2: port,
        opaque: None,
    })
}
