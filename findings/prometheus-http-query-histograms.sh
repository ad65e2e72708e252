#!/usr/bin/env bash
# Guess:    the Rust crate prometheus-http-query reads the answer to any instant query.
# Seen:     an answer in which one series is a native histogram is an error as a whole: the samples beside it are lost,
#           too. So is the answer to a query for a string. A Prometheus that scrapes native histograms gives the first
#           for a selector as plain as {job="mesh"}.
# Versions: prometheus-http-query 0.9.0; cargo 1.95.
# Date:     2026-12-01
# Hurt:     Rust programs that judge a rollout by such queries: from the day on which somebody switches native
#           histograms on, every check is an error, and a canary is rolled back that did nothing wrong.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
prometheus-http-query = "=0.9.0"
serde_json = "1"
TOML
cat >src/main.rs <<'RS'
use prometheus_http_query::response::Data;

const PLAIN: &str = r#"{"metric": {"route": "a"}, "value": [1764576000, "7"]}"#;
const NATIVE: &str = r#"{"metric": {"route": "b"}, "histogram":
    [1764576000, {"count": "3", "sum": "0.5", "buckets": [[0, "0.1", "0.2", "3"]]}]}"#;

fn main() {
    let answers = [
        ("a sample", "vector", format!("[{PLAIN}]")),
        ("a sample and a histogram", "vector", format!("[{PLAIN}, {NATIVE}]")),
        ("a string", "string", r#"[1764576000, "v"]"#.to_string()),
    ];
    for (name, kind, result) in answers {
        let answer = format!(r#"{{"resultType": "{kind}", "result": {result}}}"#);
        let read = serde_json::from_str::<Data>(&answer);
        println!("{name}: {}", if read.is_ok() { "read" } else { "an error as a whole" });
    }
}
RS
CARGO_TARGET_DIR=$work/target cargo run --quiet >seen

cat >expected <<'TXT'
a sample: read
a sample and a histogram: an error as a whole
a string: an error as a whole
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
