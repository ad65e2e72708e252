#!/usr/bin/env bash
# Guess:    the Rust crate prometheus-parse reads each sample of the text format with its labels as they are.
# Seen:     a closing brace in a label value loses the sample without an error, and so does an empty pair of braces.
#           A comma inside a value ends the value: what follows becomes a label of its own, or is lost.
#           Escapes stay in the value, undecoded, and an escaped quote at its end is cut off.
# Versions: prometheus-parse 0.2.5; cargo 1.95.
# Date:     2026-11-30
# Hurt:     users of Rust tools that read a proxy's or a mesh's metrics with it. Routes such as "GET /books/{id}" do
#           not count; routes or authorities with a comma, as a header value may have, turn into invented labels, and
#           two series may then be taken for one.
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
prometheus-parse = "=0.2.5"
TOML
cat >src/main.rs <<'RS'
fn main() {
    let lines = [
        r#"requests{route="GET /books"} 7"#,
        r#"requests{route="GET /books/{id}"} 5"#,
        r#"requests{route="GET /a,b=c"} 3"#,
        r#"requests{route="say \"hi\""} 2"#,
        r#"requests{} 1"#,
    ];
    for line in lines {
        let text = ["# TYPE requests counter", line].map(|line| Ok(line.to_string()));
        let scrape = prometheus_parse::Scrape::parse(text.into_iter()).expect("no error is raised");
        let seen: Vec<String> = scrape
            .samples
            .iter()
            .map(|sample| {
                let mut labels: Vec<_> = sample.labels.iter().map(|(k, v)| format!("{k}=<{v}>")).collect();
                labels.sort();
                format!("{} {:?}", labels.join(" "), sample.value)
            })
            .collect();
        println!("{line} -> {}", if seen.is_empty() { "nothing".into() } else { seen.join("; ") });
    }
}
RS
CARGO_TARGET_DIR=$work/target cargo run --quiet >seen

cat >expected <<'TXT'
requests{route="GET /books"} 7 -> route=<GET /books> Counter(7.0)
requests{route="GET /books/{id}"} 5 -> nothing
requests{route="GET /a,b=c"} 3 -> b=<c> route=<GET /a> Counter(3.0)
requests{route="say \"hi\""} 2 -> route=<say \"hi\> Counter(2.0)
requests{} 1 -> nothing
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
