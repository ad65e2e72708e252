//! The rules in a real firewall, in a network namespace of the test's own.

use std::process::{Command, Output};

/// Returns true if this machine can run the test; reports a skip if not.
#[track_caller]
fn can(iptables: &str) -> bool {
    let check = [
        iptables, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-j", "REDIRECT",
    ];
    let status = Command::new("unshare").arg("--net").args(check).output();
    let can = status.is_ok_and(|output| output.status.success());
    if !can {
        mesh_skips::skip(format_args!(
            "needs root, {iptables} and a kernel that translates addresses"
        ));
    }
    can
}

/// Runs `script` in a namespace, where `$init` is the program under test.
fn within(script: &str) -> Output {
    Command::new("unshare")
        .args(["--net", "sh", "-ec", script])
        .env("init", env!("CARGO_BIN_EXE_mesh-init"))
        .output()
        .expect("unshare runs")
}

#[test]
fn applied_again_nothing_changes_and_other_rules_stay() {
    for (v4, v6) in [
        ("iptables-nft", "ip6tables-nft"),
        ("iptables-legacy", "ip6tables-legacy"),
    ] {
        if !can(v4) || !can(v6) {
            continue;
        }
        // One list of more ports than a rule may have.
        let output = within(&format!(
            r#"{v4} -t nat -A OUTPUT -p tcp --dport 9 -j RETURN
            skip=--inbound-ports-to-ignore=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17-20
            for turn in 1 2; do
                $init --firewall-bin-path {v4} $skip --proxy-uid 7 --subnets-to-ignore 10.0.0.0/8,fd00::/8
                {v4}-save -t nat | grep '^-A'
                {v6}-save -t nat | grep '^-A'
                echo ==
            done
            $init --firewall-bin-path {v4} --outgoing-proxy-port 99
            {v4}-save -t nat | grep '^-A PROXY_INIT_OUTPUT'
            "#
        ));
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{v4}: {text}{said}");
        let mut turns = text.split("==\n");
        let (first, second, third) = (turns.next(), turns.next(), turns.next());
        assert_eq!(first, second, "{v4}");
        let first = first.unwrap_or_default();
        assert_eq!(first.matches("-j PROXY_INIT_OUTPUT").count(), 2, "{first}");
        assert_eq!(first.matches("--dport 9 ").count(), 1, "{first}");
        assert_eq!(first.matches("--uid-owner 7 ").count(), 2, "{first}");
        assert!(first.contains("-d fd00::/8"), "{first}");
        let third = third.unwrap_or_default();
        assert!(
            third.contains("--to-ports 99") && !third.contains("4140"),
            "{third}"
        );
        assert!(!third.contains("--uid-owner 7 "), "{third}");
    }
}

#[test]
fn without_the_right_to_it_says_so() {
    let is_root = Command::new("id").arg("-u").output();
    if !is_root.is_ok_and(|output| output.stdout == b"0\n") {
        mesh_skips::skip("only root can give a right away");
        return;
    }
    let output = Command::new("setpriv")
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"])
        .arg(env!("CARGO_BIN_EXE_mesh-init"))
        .output()
        .expect("setpriv runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("NET_ADMIN") && said.contains("--dry-run"),
        "{said}"
    );
}
