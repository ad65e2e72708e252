//! Counts the instructions of the hot path with callgrind, which is steadier than a clock.

use crate::process;
use anyhow::{Context, bail};
use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

/// File of the baselines.
const BASELINES: &str = "benches/instructions.txt";

/// Percentage by which a scenario may exceed its baseline.
const ALLOWED: f64 = 5.0;

const BLESS: &str = "cargo xtask instructions --bless";

/// Counts, and compares or keeps the counts.
pub(crate) fn run(bless: bool) -> anyhow::Result<()> {
    let compiler = output(Command::new("rustc").arg("--version"))?;
    let compiler = compiler.trim();
    let counts = count()?;
    if bless {
        return keep(compiler, &counts);
    }
    let kept = fs::read_to_string(BASELINES).with_context(|| BASELINES.to_owned())?;
    let (kept_compiler, kept) = parse(&kept)?;

    let mut slower = Vec::new();
    println!(
        "{:25} {:>12} {:>12} {:>8}",
        "instructions of one", "baseline", "now", "change"
    );
    for (name, now) in &counts {
        let Some(&before) = kept.get(name) else {
            println!("{name:25} {:>12} {now:>12} {:>8}", "-", "new");
            slower.push(format!("{name} has no baseline"));
            continue;
        };
        let change = 100.0 * (*now as f64 / before as f64 - 1.0);
        println!("{name:25} {before:>12} {now:>12} {change:>+7.1}%");
        if change > ALLOWED {
            slower.push(format!("{name} takes {change:.1}% more"));
        } else if change < -ALLOWED {
            println!("{:25} it has become faster: keep that with `{BLESS}`", "");
        }
    }
    if slower.is_empty() {
        return Ok(());
    }
    let mut advice = format!(
        "{}. Find out where with `valgrind --tool=callgrind --toggle-collect=instructions::measured \
         target/release/instructions <SCENARIO>`; if the cost is worth it, say so in the commit \
         and keep the new counts with `{BLESS}`",
        slower.join("; ")
    );
    if kept_compiler != compiler {
        let _ = write!(
            advice,
            ". The baselines are of {kept_compiler} and this is {compiler}, which alone may \
             explain it: check out the last commit, run `{BLESS}` there, and compare again"
        );
    }
    bail!(advice)
}

/// Instructions of one run of each scenario.
fn count() -> anyhow::Result<BTreeMap<String, u64>> {
    let program = process::build_release()?.join("instructions");
    let scenarios = output(&mut Command::new(&program))?;
    let scenarios = scenarios.lines().map(|line| {
        let (name, times) = line.split_once(' ').context("a name and how often")?;
        let times: u64 = times.parse()?;
        let all = callgrind(&program, name)?;
        Ok((name.to_owned(), all / times))
    });
    scenarios.collect()
}

fn callgrind(program: &Path, scenario: &str) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=instructions::measured")
        .arg(program)
        .arg(scenario);
    let output = command
        .output()
        .context("valgrind could not be run; on Debian: apt-get install valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text
        .lines()
        .filter_map(|line| line.split_once("Collected : "))
        .find_map(|(_, count)| count.trim().parse().ok())
        .filter(|count| *count > 0 && output.status.success());
    count.with_context(|| format!("callgrind counted nothing of {scenario}:\n{text}"))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} could not be run"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn keep(compiler: &str, counts: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    let mut text = format!("# Instructions of one. Made by `{BLESS}`, with\n# {compiler}\n");
    for (name, count) in counts {
        let _ = writeln!(text, "{name} {count}");
    }
    fs::write(BASELINES, &text).with_context(|| BASELINES.to_owned())?;
    print!("{text}");
    Ok(())
}

fn parse(text: &str) -> anyhow::Result<(&str, BTreeMap<String, u64>)> {
    let compiler = text.lines().nth(1).and_then(|line| line.strip_prefix("# "));
    let counts = text.lines().filter(|line| !line.starts_with('#'));
    let counts = counts.map(|line| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let parsed = compiler.zip(counts.collect());
    parsed.with_context(|| format!("{BASELINES} is no list of counts: run `{BLESS}`"))
}
