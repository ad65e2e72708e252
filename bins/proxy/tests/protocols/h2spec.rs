//! h2spec against the HTTP/2 server of the sidecar.

use crate::{
    program,
    support::{Running, Upstream, answer, standalone},
};
use std::{collections::BTreeSet, fs, process::Stdio};
use tokio::process::Command;

/// Cases that fail, each with its reason in docs/compatibility.md.
const EXPECTED: [(&str, &str); 1] = [("http2/3.5", "Sends invalid connection preface")];

/// The cases in a report in the format of JUnit, and whether each passed.
fn cases(report: &str) -> impl Iterator<Item = (String, String, bool)> {
    report.split("<testcase ").skip(1).map(|case| {
        let attribute = |name: &str| {
            let value = case.split_once(&format!("{name}=\"")).unwrap().1;
            let value = value.split_once('"').unwrap().0;
            value.replace("&#39;", "'").replace("&#34;", "\"")
        };
        let case = case.split("</testcase>").next().unwrap();
        let passed = !case.contains("<failure") && !case.contains("<error");
        (attribute("package"), attribute("classname"), passed)
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask protocols runs it, which needs Go"]
async fn h2spec_finds_what_is_known_and_nothing_else() {
    let h2spec = program("h2spec");
    let upstream = Upstream::start(|seen, _| async move {
        if seen.method == http::Method::HEAD {
            let mut rsp = answer(200, "");
            rsp.headers_mut().insert("content-length", 23.into());
            return rsp;
        }
        answer(200, "some bytes of an answer")
    })
    .await;
    let proxy = Running::start(standalone(&[&upstream]));
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.xml");
    let out = Command::new(h2spec)
        .args(["--strict", "--timeout", "2"])
        .args(["--port", &proxy.addr().port().to_string()])
        .arg("--junit-report")
        .arg(&report)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    let report = fs::read_to_string(&report).unwrap();
    let all: Vec<_> = cases(&report).collect();
    assert!(all.len() > 140, "only {} cases ran: {told}", all.len());
    let failed: BTreeSet<_> = all
        .iter()
        .filter(|(_, _, passed)| !passed)
        .map(|(section, case, _)| (&**section, &**case))
        .collect();
    println!("{} of {} cases pass", all.len() - failed.len(), all.len());
    assert_eq!(failed, BTreeSet::from(EXPECTED), "{told}");
}
