//! `mesh logs`: reads the files, so that it works on a mesh that is gone, too.

use crate::{args::Global, client::Client, log_line, output::did_you_mean};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IsTerminal, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::time::sleep;

/// Polling interval of the log files.
const TICK: Duration = Duration::from_millis(100);

/// Print the logs of the workloads
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh logs -f\n  mesh logs authors --tail 20")]
pub(crate) struct Args {
    /// Workloads or replicas; without any, all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Go on printing what comes
    #[arg(short = 'f', long)]
    follow: bool,
    /// Number of last lines to print first
    #[arg(long, default_value_t = 200, value_name = "LINES")]
    tail: usize,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = Client::supervisor(global)?;
    let dir = client.state_dir().unwrap_or(Path::new(".")).join("logs");
    let mut files = open(&dir, &args.names)?;
    let mut printer = Printer {
        colours: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        width: 0,
    };
    let mut lines = Vec::new();
    for file in files.values_mut() {
        file.read(&mut lines)?;
    }
    lines.retain(|line| wanted(line, &args.names));
    // Each begins with its time in RFC 3339, so that texts sort as times do.
    lines.sort_by(|a, b| time_of(a).cmp(time_of(b)));
    printer.print(&lines[lines.len().saturating_sub(args.tail)..])?;
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        sleep(TICK).await;
        for (path, file) in open(&dir, &args.names).unwrap_or_default() {
            files.entry(path).or_insert(file);
        }
        lines.clear();
        for file in files.values_mut() {
            file.read(&mut lines)?;
        }
        lines.retain(|line| wanted(line, &args.names));
        lines.sort_by(|a, b| time_of(a).cmp(time_of(b)));
        printer.print(&lines)?;
    }
}

/// The files of `names`, or all.
fn open(dir: &Path, names: &[String]) -> Result<BTreeMap<PathBuf, Followed>> {
    let entries = fs::read_dir(dir).with_context(|| {
        format!(
            "there are no logs in {}; start the mesh with `mesh up`",
            dir.display()
        )
    })?;
    let known: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".log")?.to_owned()))
        // What `mesh up -d` itself printed: `mesh.log` has it, with times.
        .filter(|name| name != "up")
        .collect();
    let mut files = BTreeMap::new();
    let chosen: Vec<&str> = if names.is_empty() {
        known.iter().map(String::as_str).collect()
    } else {
        names.iter().map(|name| log_line::file_of(name)).collect()
    };
    for name in chosen {
        if !known.iter().any(|known| known == name) {
            bail!(
                "there are no logs of `{name}`{}",
                did_you_mean(name, &known)
            );
        }
        let path = dir.join(format!("{name}.log"));
        files.insert(path.clone(), Followed::open(&path)?);
    }
    Ok(files)
}

/// Returns true if a line belongs to one of `names`, workloads or replicas.
fn wanted(line: &str, names: &[String]) -> bool {
    let source = line.split(' ').nth(1).unwrap_or_default();
    let pod = source.split('/').next().unwrap_or(source);
    names.is_empty()
        || names
            .iter()
            .any(|name| name == log_line::file_of(source) || name == pod)
}

fn time_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// A file that may be moved aside while it is read.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    file: File,
    inode: u64,
    rest: Vec<u8>,
}

impl Followed {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            inode: file.metadata()?.ino(),
            file,
            rest: Vec::new(),
        })
    }

    /// Adds the whole lines that have come since the last time.
    fn read(&mut self, lines: &mut Vec<String>) -> Result<()> {
        self.file.read_to_end(&mut self.rest)?;
        let moved = fs::metadata(&self.path).is_ok_and(|file| file.ino() != self.inode);
        let shrunk = self.file.stream_position()? > self.file.metadata()?.len();
        if moved {
            let next = Self::open(&self.path)?;
            (self.file, self.inode) = (next.file, next.inode);
            self.file.read_to_end(&mut self.rest)?;
        } else if shrunk {
            self.file.seek(SeekFrom::Start(0))?;
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        Ok(())
    }
}

struct Printer {
    colours: bool,
    width: usize,
}

impl Printer {
    fn print(&mut self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let parts = |line: &str| {
            let mut parts = line.splitn(3, ' ').skip(1).map(str::to_owned);
            (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            )
        };
        for line in lines {
            self.width = self.width.max(parts(line).0.len());
        }
        for line in lines {
            let (source, text) = parts(line);
            out.write_all(log_line::render(&source, self.width, &text, self.colours).as_bytes())?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_has_the_lines_of_its_replicas_and_a_replica_its_own() {
        let line = "2026-01-01T00:00:00.000Z web-1/proxy hello world";
        let names = |name: &str| [name.to_owned()];
        assert!(wanted(line, &[]));
        assert!(wanted(line, &names("web")));
        assert!(wanted(line, &names("web-1")));
        assert!(!wanted(line, &names("web-0")));
    }

    #[test]
    fn a_file_that_is_moved_aside_is_read_to_its_end_and_then_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.log");
        fs::write(&path, "a\nb").unwrap();
        let mut file = Followed::open(&path).unwrap();
        let mut lines = Vec::new();
        file.read(&mut lines).unwrap();
        assert_eq!(lines, ["a"]);

        let mut old = File::options().append(true).open(&path).unwrap();
        old.write_all(b"c\n").unwrap();
        fs::rename(&path, dir.path().join("web.log.1")).unwrap();
        fs::write(&path, "d\n").unwrap();
        file.read(&mut lines).unwrap();
        assert_eq!(lines, ["a", "bc", "d"]);
    }
}
