#!/usr/bin/env bash
# Guess:    the Rust crate openmetrics-parser reads a family whose series have different label names; Prometheus allows
#           that, and Linkerd's proxies write such families (status_code, grpc_status, error, each only where it applies).
# Seen:     parse_prometheus refuses the whole text: InvalidMetric("Labels in metrics have different label sets").
#           Each series alone is read. A tab between name and value, which the format allows, is refused as well.
# Versions: openmetrics-parser 0.5.1; cargo 1.95.
# Date:     2026-11-30
# Hurt:     authors of Rust scrapers for proxies: it works in tests and until the first response of another kind (the
#           first gRPC call, the first failure without a response). From then on the whole target is lost, not one
#           series, at the very moment at which something went wrong.
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
openmetrics-parser = "=0.5.1"
TOML
cat >src/main.rs <<'RS'
use openmetrics_parser::prometheus::parse_prometheus;

fn main() {
    let success = "response_total{classification=\"success\",status_code=\"200\"} 7\n";
    let failure = "response_total{classification=\"failure\",error=\"timeout\"} 1\n";
    let other = "up 1\n";
    for (name, body) in [
        ("successes", success.to_string()),
        ("failures", failure.to_string()),
        ("both", format!("{success}{failure}{other}")),
        ("tab", "response_total\t7\n".to_string()),
    ] {
        match parse_prometheus(&format!("# TYPE response_total counter\n{body}")) {
            Ok(families) => println!("{name}: read, {} families", families.families.len()),
            Err(error) => println!("{name}: {}", format!("{error:?}").chars().take(65).collect::<String>()),
        }
    }
}
RS
CARGO_TARGET_DIR=$work/target cargo run --quiet >seen

cat >expected <<'TXT'
successes: read, 1 families
failures: read, 1 families
both: InvalidMetric("Labels in metrics have different label sets")
TXT
diff expected <(grep -v '^tab' seen) && grep -q '^tab: ParseError' seen || { cat seen; echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
