#!/usr/bin/env bash
# Guess:    Rust crates that read durations such as "300ms" read those of Kubernetes resources, which are Go's.
# Seen:     parse_duration reads ".5s" as five seconds, without an error. duration-str refuses each fraction, "1.5s"
#           as well, which is what Go prints for 1,500 milliseconds, and takes "5" for five seconds, which Go refuses.
#           humantime and go-duration read 1.5s, but go-duration refuses "0", the one duration Go takes without a unit.
# Versions: parse_duration 2.1.1, duration-str 0.21.0, humantime 2.4.0, go-duration 0.2.0; cargo 1.95.
# Date:     2026-12-01
# Hurt:     Rust controllers and tools that read timeouts of ServiceProfiles, HTTPRoutes or Flagger's intervals: a
#           timeout ten times as long as written, or a resource refused that the API server and Linkerd accept.
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
duration-str = "=0.21.0"
go-duration = "=0.2.0"
humantime = "=2.4.0"
parse_duration = "=2.1.1"
TOML
cat >src/main.rs <<'RS'
use std::fmt::Debug;

fn show<T: Debug, E>(result: Result<T, E>) -> String {
    result.map_or("refused".into(), |value| format!("{value:?}"))
}

fn main() {
    for text in ["300ms", "1h30m", "1.5s", ".5s", "0", "5"] {
        let go = text.parse::<go_duration::GoDuration>();
        println!(
            "{text}: parse_duration {}, duration-str {}, humantime {}, go-duration {}",
            show(parse_duration::parse(text)),
            show(duration_str::parse(text)),
            show(humantime::parse_duration(text)),
            show(go.map(|it| std::time::Duration::from_nanos(it.nanoseconds() as u64))),
        );
    }
}
RS
CARGO_TARGET_DIR=$work/target cargo run --quiet >seen

cat >expected <<'TXT'
300ms: parse_duration 300ms, duration-str 300ms, humantime 300ms, go-duration 300ms
1h30m: parse_duration 5400s, duration-str 5400s, humantime 5400s, go-duration 5400s
1.5s: parse_duration 1.5s, duration-str refused, humantime 1.5s, go-duration 1.5s
.5s: parse_duration 5s, duration-str refused, humantime refused, go-duration 500ms
0: parse_duration 0ns, duration-str 0ns, humantime 0ns, go-duration refused
5: parse_duration 5s, duration-str 5s, humantime refused, go-duration refused
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
