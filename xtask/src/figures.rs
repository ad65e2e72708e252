//! The figures of `mesh up`, measured on this machine beside what they are to reach.

#![allow(
    clippy::disallowed_methods,
    reason = "what a clock on the wall says is the point"
)]

use crate::process::{self, MESH, Memory};
use anyhow::{bail, ensure};
use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const SHOP: &str = "examples/booksapp";
const DOCUMENT: &str = "../shared/data/openapi/github.openapi-3.0.json.gz";

/// Of how many runs of a command the median counts.
const RUNS: usize = 11;

/// Nothing that is waited for here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every command that answers from the running mesh, but `tap` and `top`, which go on.
const COMMANDS: [&str; 13] = [
    "version",
    "check",
    "ps",
    "stat deploy",
    "stat po",
    "stat deploy/webapp --to svc/books",
    "viz stat svc",
    "routes deploy/webapp --to svc/books -o wide",
    "edges deploy",
    "get sp",
    "explain GET http://books:7002/books.json",
    "profile --open-api swagger/books.yaml books",
    "completion bash",
];

pub(crate) fn run() -> anyhow::Result<()> {
    process::build()?;
    let mut table = Table::default();
    idle(&mut table)?;
    document(&mut table)?;
    shop(&mut table)?;
    table.end()
}

/// The resident memory of a sidecar that has nothing to do.
fn idle(table: &mut Table) -> anyhow::Result<()> {
    for workers in [1, 2, 4] {
        let (listen, admin) = (free_port()?, free_port()?);
        let mut proxy = Command::new(MESH)
            .args(["proxy", "--forward", "127.0.0.1:9"])
            .args(["--listen", &format!("127.0.0.1:{listen}")])
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .args(["--workers", &workers.to_string()])
            .stderr(Stdio::null())
            .spawn()?;
        let ready = until("the sidecar is ready", || is_ready(admin));
        let memory = ready.and_then(|_| {
            thread::sleep(Duration::from_secs(1));
            Memory::of(proxy.id())
        });
        process::interrupt(&mut proxy)?;
        let what = format!("idle sidecar, workers: {workers}");
        let most = 10.0 + 3.0 * f64::from(workers - 1);
        table.megabytes(&what, most, memory?.all);
    }
    Ok(())
}

/// The largest OpenAPI document there is.
fn document(table: &mut Table) -> anyhow::Result<()> {
    if !Path::new(DOCUMENT).exists() {
        println!("SKIPPED: {DOCUMENT} is not here");
        return Ok(());
    }
    let unpacked = Command::new("gzip").args(["-dc", DOCUMENT]).output()?;
    ensure!(unpacked.status.success(), "cannot unpack {DOCUMENT}");
    let file = "target/github.json";
    fs::write(file, unpacked.stdout)?;
    let command = ["profile", "--open-api", file, "-n", "default", "github"];
    let (took, out) = median(&command, Path::new("."))?;
    let text = String::from_utf8_lossy(&out.stdout);
    let routes = text
        .lines()
        .filter(|line| line.starts_with("  - condition:"));
    ensure!(
        routes.count() == 1_223,
        "GitHub's document has 1,223 routes"
    );
    table.time("profile of GitHub's document", 80, took);
    Ok(())
}

/// Everything that needs the bookshop.
fn shop(table: &mut Table) -> anyhow::Result<()> {
    // Built beforehand, so that `mesh up` does not build it within the measured time.
    let build = ["build", "--release", "--package", "booksapp"];
    ensure!(
        Command::new(env!("CARGO")).args(build).status()?.success(),
        "cannot build booksapp"
    );
    let state = format!("{}/target/figures", env::current_dir()?.display());
    let started = Instant::now();
    let mut up = Command::new(MESH)
        .args(["up", SHOP, "--state-dir", &state])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let result = running(table, &up, &state, started);
    let stopping = Instant::now();
    process::interrupt(&mut up)?;
    table.time("from Ctrl-C to the end", 5_000, stopping.elapsed());
    fs::remove_dir_all(&state)?;
    result
}

fn running(table: &mut Table, up: &Child, api: &str, started: Instant) -> anyhow::Result<()> {
    let folder = Path::new(SHOP);
    let stat = || {
        let out = mesh(&["--api", api, "stat", "deploy"], folder).ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.success() && text.contains("authors")).then_some(text)
    };
    until("mesh stat answers", || stat().is_some())?;
    table.time(
        "from mesh up to a line of mesh stat",
        5_000,
        started.elapsed(),
    );
    let counts = || stat().is_some_and(|text| text.lines().any(|line| line.contains("rps")));
    until("mesh stat has numbers", counts)?;
    table.time("from mesh up to numbers in it", 5_000, started.elapsed());

    // A window of traffic, so that tables are full.
    thread::sleep(Duration::from_secs(30));
    for command in COMMANDS {
        let args: Vec<_> = ["--api", api]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        let (took, _) = median(&args, folder)?;
        table.time(&format!("mesh {command}"), 200, took);
    }
    let mut together = 0;
    for (name, memory) in process::tree(up.id())? {
        if name.contains("mesh controller") || name.starts_with(&format!("{} ", up.id())) {
            together += memory.all;
        }
    }
    table.megabytes("mesh up and controller together", 40.0, together);
    Ok(())
}

/// The median time of a command that must succeed, and what it said last.
fn median(args: &[&str], folder: &Path) -> anyhow::Result<(Duration, Output)> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        let out = mesh(args, folder)?;
        runs.push((started.elapsed(), out));
    }
    runs.sort_by_key(|(took, _)| *took);
    let (took, out) = runs.swap_remove(RUNS / 2);
    if !out.status.success() {
        bail!(
            "mesh {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok((took, out))
}

fn mesh(args: &[&str], folder: &Path) -> anyhow::Result<Output> {
    let mesh = fs::canonicalize(MESH)?;
    Ok(Command::new(mesh).args(args).current_dir(folder).output()?)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_so() {
        ensure!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn is_ready(admin: u16) -> bool {
    let ask = || {
        let mut socket = TcpStream::connect(("127.0.0.1", admin))?;
        socket.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer.contains(" 200 "))
    };
    ask().unwrap_or(false)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Measured figures beside their targets.
#[derive(Default)]
struct Table {
    missed: Vec<String>,
}

impl Table {
    fn megabytes(&mut self, what: &str, most: f64, kib: u64) {
        let measured = kib as f64 * 1024.0 / 1e6;
        self.row(
            what,
            &format!("{most:.0} MB"),
            &format!("{measured:.1} MB"),
            measured <= most,
        );
    }

    fn time(&mut self, what: &str, most_ms: u64, took: Duration) {
        let measured = format!("{:.1} ms", took.as_secs_f64() * 1e3);
        let is_reached = took <= Duration::from_millis(most_ms);
        self.row(what, &format!("{most_ms} ms"), &measured, is_reached);
    }

    fn row(&mut self, what: &str, most: &str, measured: &str, is_reached: bool) {
        let mark = if is_reached { "" } else { "  MISSED" };
        println!("{what:55} at most {most:>8}: {measured:>9}{mark}");
        if !is_reached {
            self.missed.push(what.to_owned());
        }
    }

    fn end(self) -> anyhow::Result<()> {
        ensure!(self.missed.is_empty(), "missed: {}", self.missed.join(", "));
        Ok(())
    }
}
