//! The interoperability suite of gRPC, by grpc-go: its client, through two sidecars, to its server.

use crate::{
    program,
    support::{Discovery, Running, any, config, destination},
};
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;
use std::{net::SocketAddr, process::Stdio, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// All that its client has, but for what docs/compatibility.md leaves out.
const CASES: [&str; 18] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
    "orca_per_rpc",
    "orca_oob",
];

/// Flags that some of the test cases need.
const FLAGS: [(&str, &[&str]); 2] = [
    // Ten calls, or ten connections, are few; but nothing here has a claim to a fast machine.
    (
        "_soak",
        &[
            "--soak_iterations=50",
            "--soak_overall_timeout_seconds=60",
            "--soak_per_iteration_max_acceptable_latency_ms=10000",
        ],
    ),
    // The policy that looks at the reports of load.
    (
        "orca_",
        &[
            r#"--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#,
        ],
    ),
];

/// The server, on a port that was free a moment ago: it cannot choose one itself.
async fn server() -> (Child, SocketAddr) {
    let program = program("server");
    let addr = TcpListener::bind(any())
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let server = Command::new(program)
        .args(["--port", &addr.port().to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while TcpStream::connect(addr).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (server, addr)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask protocols runs it, which needs Go"]
async fn every_case_of_grpc_passes_through_two_sidecars() {
    let ((_server, addr), client) = (server().await, program("client"));
    let discovery = Discovery::default();
    let inbound = Running::discovering(config([Role::Inbound(addr)]), &discovery);
    let interop = destination("interop:80", ProfileSpec::default(), &[inbound.addr()]);
    discovery.set("interop", interop);
    let outbound = Running::discovering(config([Role::Upstream("interop".into())]), &discovery);
    let mut failed = Vec::new();
    for case in CASES {
        let flags = FLAGS.iter().filter(|(of, _)| case.contains(of));
        let out = Command::new(&client)
            .args(["--test_case", case])
            .args(["--server_host", "127.0.0.1"])
            .args(["--server_port", &outbound.addr().port().to_string()])
            .args(flags.flat_map(|(_, flags)| *flags))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        println!("{case}: {}", out.status);
        if !out.status.success() {
            let told = String::from_utf8_lossy(&out.stderr).into_owned();
            failed.push(format!("{case}: {told}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    // They went through both, as gRPC.
    for proxy in [&outbound, &inbound] {
        let metrics = proxy.metrics().await;
        assert!(metrics.sum("response_total", &[r#"grpc_status="0""#]) > 10.0);
        assert!(metrics.sum("response_total", &[r#"grpc_status="12""#]) >= 2.0);
    }
}
