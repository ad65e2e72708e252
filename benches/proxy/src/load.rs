//! wrk and h2load, and what they say.

pub(crate) use crate::scenario::Load;
use crate::{backend, setup::Tools};
use anyhow::{Context as _, ensure};
use std::{fs, path::Path, process::Command};

/// Eight headers, as a browser or a client library sends them.
pub(crate) const HEADERS: [&str; 8] = [
    "accept: application/json",
    "accept-encoding: gzip, deflate",
    "accept-language: en-GB,en;q=0.9",
    "user-agent: mesh-bench/1.0 (linux)",
    "x-request-id: 6f1d8a52-9c0e-4f0b-8a57-0d9b4d1c7c11",
    "x-forwarded-for: 192.0.2.7",
    "authorization: Bearer 0123456789abcdef0123456789abcdef",
    "cache-control: no-cache",
];

/// A path that the seventeenth of twenty routes matches.
pub(crate) const PATH: &str = "/books/42.json";

/// Result of a load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Puts `load` on `port` for so many seconds.
pub(crate) fn run(tools: &Tools, port: u16, load: Load, seconds: u64) -> anyhow::Result<Outcome> {
    let outcome = match load {
        Load::Http1 { connections, large } => {
            let path = if large { "/large" } else { PATH };
            let url = format!("http://127.0.0.1:{port}{path}");
            wrk(tools, &url, &[], connections, seconds)
        }
        Load::H2c {
            connections,
            streams,
        } => {
            let args = [&connections.to_string(), "-m", &streams.to_string()];
            h2load(tools, port, PATH, &args, seconds)
        }
        Load::Grpc {
            connections,
            streams,
        } => {
            let body = tools.folder.join("message");
            fs::write(&body, backend::MESSAGE)?;
            let body = body.display().to_string();
            let args = [
                &connections.to_string(),
                "-m",
                &streams.to_string(),
                "-d",
                &body,
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
            ];
            h2load(tools, port, "/bench.Echo/Unary", &args, seconds)
        }
        Load::Rate { per_second } => {
            const CONNECTIONS: u32 = 50;
            let args = [
                &CONNECTIONS.to_string(),
                "--h1",
                "--rps",
                &(per_second / CONNECTIONS).to_string(),
            ];
            h2load(tools, port, PATH, &args, seconds)
        }
    }?;
    ensure!(outcome.requests > 0, "no request was answered");
    ensure!(
        outcome.failed * 1_000 < outcome.requests,
        "{} of {} requests failed",
        outcome.failed,
        outcome.requests
    );
    Ok(outcome)
}

/// HTTP/1.1 requests over 64 connections that name these hosts, one after the other.
pub(crate) fn hosts(
    tools: &Tools,
    port: u16,
    hosts: &[String],
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let outcome = wrk(
        tools,
        &format!("http://127.0.0.1:{port}{PATH}"),
        hosts,
        64,
        seconds,
    )?;
    ensure!(outcome.failed == 0, "{} requests failed", outcome.failed);
    Ok(outcome)
}

/// The script with which wrk prints its results.
const REPORT: &str = "function done(s, l, r)
  local e = s.errors
  io.write(string.format('RESULT %d %d %d %d %d %d\\n', s.requests, s.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    l:percentile(50), l:percentile(99), l:percentile(99.9)))
end
";

/// Requests that were made before, each for another host.
fn requests(hosts: &[String]) -> String {
    let hosts: Vec<String> = hosts.iter().map(|host| format!("'{host}'")).collect();
    format!(
        "local all, n = {{}}, 0
function init()
  for i, host in ipairs({{{}}}) do
    wrk.headers['Host'] = host
    all[i] = wrk.format()
  end
end
function request()
  n = n % #all + 1
  return all[n]
end
",
        hosts.join(",")
    )
}

fn wrk(
    tools: &Tools,
    url: &str,
    hosts: &[String],
    connections: u32,
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let script = tools.folder.join("report.lua");
    let mut text = REPORT.to_owned();
    if !hosts.is_empty() {
        text += &requests(hosts);
    }
    fs::write(&script, text)?;
    let mut wrk = Command::new("wrk");
    wrk.args([
        "-t1",
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{seconds}s"),
    ]);
    wrk.arg("-s").arg(script);
    wrk.args(HEADERS.iter().flat_map(|header| ["-H", header]));
    let out = wrk.arg(url).output().context("wrk")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let line = line.with_context(|| format!("wrk said:\n{text}"))?;
    let numbers: Vec<u64> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [requests, micros, failed, p50, p99, p999] = numbers[..] else {
        anyhow::bail!("wrk said: {line}");
    };
    Ok(Outcome {
        requests,
        failed,
        seconds: micros as f64 / 1e6,
        p50: p50 as f64,
        p99: p99 as f64,
        p999: p999 as f64,
    })
}

fn h2load(
    tools: &Tools,
    port: u16,
    path: &str,
    args: &[&str],
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let log = tools.folder.join("h2load.log");
    let _ = fs::remove_file(&log);
    let mut h2load = Command::new("h2load");
    h2load.args(["-t", "1", "-D", &seconds.to_string(), "-c"]);
    h2load.args(args);
    h2load.args(HEADERS.iter().flat_map(|header| ["-H", header]));
    h2load.arg("--log-file").arg(&log);
    let out = h2load
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .context("h2load")?;
    ensure!(
        out.status.success(),
        "h2load: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    read(&log, seconds)
}

/// A line for each request: when it began, its status, how long it took, in microseconds.
fn read(log: &Path, seconds: u64) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(log)?;
    let mut failed = 0;
    let mut times = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t').skip(1);
        let status: i32 = fields.next().unwrap_or_default().parse()?;
        let micros: u32 = fields.next().unwrap_or_default().parse()?;
        failed += u64::from(status != 200);
        times.push(micros);
    }
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times
            .get(index.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    Ok(Outcome {
        requests: times.len() as u64,
        failed,
        seconds: seconds as f64,
        p50: at(0.5).into(),
        p99: at(0.99).into(),
        p999: at(0.999).into(),
    })
}
