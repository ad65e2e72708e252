//! `mesh-proxy --listen ADDR --forward HOST:PORT`.

use crate::support::*;
use mesh_proxy::{Args, Config, Proxy};
use std::{fs, time::Duration};

fn manifest(timeout: &str) -> String {
    format!(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\n\
         metadata:\n  name: any.default.svc.cluster.local\n\
         spec:\n  routes:\n  - name: GET /slow\n    condition:\n      pathRegex: /slow\n\
         \x20   timeout: {timeout}\n"
    )
}

#[tokio::test]
async fn its_profile_is_read_again_when_it_changes() {
    let upstream = Upstream::start(|seen, _| async move {
        if seen.uri.path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        answer(200, "")
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.yaml");
    fs::write(&path, manifest("10s")).unwrap();
    let mut config = standalone(&[&upstream]);
    config.standalone.as_mut().unwrap().profile = Some(path.clone());
    let proxy = Running::start(config);

    let mut client = Client::http1(proxy.addr()).await;
    assert_eq!(client.get("kept", "/slow").await.unwrap().status, 200);
    assert_eq!(upstream.seen()[0].headers["host"], "kept");
    // Nobody at the other end is asked to believe our headers.
    assert!(!upstream.seen()[0].headers.contains_key("l5d-dst-canonical"));

    // What is invalid changes nothing; what is valid is in force soon.
    fs::write(&path, manifest("soon")).unwrap();
    assert_eq!(client.get("kept", "/slow").await.unwrap().status, 200);
    fs::write(&path, manifest("1ms")).unwrap();
    loop {
        let reply = match client.get("kept", "/slow").await {
            Ok(reply) => reply,
            Err(_) => {
                client = Client::http1(proxy.addr()).await;
                continue;
            }
        };
        if reply.status == 504 {
            assert_eq!(reply.header("mesh-reason"), Some("timeout"));
            break;
        }
    }
}

#[test]
fn a_profile_that_cannot_be_used_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.yaml");
    fs::write(&path, manifest("soon")).unwrap();
    let mut config = config([mesh_proxy::Role::Forward]);
    config.standalone = Some(mesh_proxy::Standalone {
        forward: vec!["127.0.0.1:1".into()],
        profile: Some(path),
    });
    let (ask, shutdown) = mesh_proxy::Shutdown::channel();
    let error = Proxy::bind(config).unwrap().run(ask, shutdown).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("profile.yaml:"), "{error}");
}

#[test]
fn flags_are_those_of_the_program() {
    use clap::{Args as _, FromArgMatches as _};
    let command = Args::augment_args(clap::Command::new("proxy"));
    let flags = "proxy --listen 127.0.0.1:0 --forward a:1,b:2 --workers 2 --admin 127.0.0.1:0";
    let matches = command.try_get_matches_from(flags.split(' ')).unwrap();
    let config = Config::try_from(Args::from_arg_matches(&matches).unwrap()).unwrap();
    assert_eq!(config.workers, 2);
    assert_eq!(config.standalone.unwrap().forward, ["a:1", "b:2"]);
}
