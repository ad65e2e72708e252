//! Output of the workloads: prefixed and coloured on the terminal, and in one file each.
//!
//! The terminal may be slow (`mesh up | less`), so it has a thread of its own and a bounded
//! queue: lines that do not fit are dropped and counted, and nobody waits. The files have it all.

use crate::log_line::{SUPERVISOR, file_of, render};
use mesh_tap::har::iso8601;
use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A file is moved aside, replacing the one before, when it has grown to this.
const MAX_FILE: u64 = 10 << 20;
/// A longer line is cut in pieces.
const MAX_LINE: usize = 16 << 10;
/// Maximum lines queued for the terminal.
const QUEUE: usize = 4096;
/// Number of last lines kept of each source for failure reports.
const TAIL: usize = 5;

/// Limit for writing the last lines to the terminal.
const FLUSH: Duration = Duration::from_millis(300);

/// Where lines go. Clones share.
#[derive(Clone, Debug)]
pub(crate) struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    terminal: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
    sent: AtomicU64,
    printed: Arc<AtomicU64>,
    /// True if the terminal shows only messages of the supervisor.
    terse: bool,
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    files: HashMap<String, LogFile>,
    tails: HashMap<String, VecDeque<String>>,
    /// Last line of each source that reports an address in use.
    in_use: HashMap<String, String>,
    width: usize,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    size: u64,
}

#[derive(Debug)]
struct Line {
    source: String,
    width: usize,
    text: String,
}

impl Logs {
    /// Writes files to `dir`, and prints to standard output; if `terse`, only the supervisor's
    /// own lines, since a detached mesh's standard output is a file that nobody rotates.
    pub(crate) fn new(dir: &Path, terse: bool) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let (terminal, lines) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let printed = Arc::new(AtomicU64::new(0));
        let (count, done) = (Arc::clone(&dropped), Arc::clone(&printed));
        thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || print(&lines, &count, &done, colours))?;
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            terminal,
            dropped,
            sent: AtomicU64::new(0),
            printed,
            terse,
            state: Mutex::default(),
        })))
    }

    /// Makes the prefixes wide enough for `source`.
    pub(crate) fn expect(&self, source: &str) {
        let mut state = self.state();
        state.width = state.width.max(source.len());
    }

    /// Copies what `output` says, under `source`, until it ends.
    pub(crate) fn follow(&self, source: &str, mut output: impl AsyncRead + Unpin + Send + 'static) {
        let (logs, source) = (self.clone(), source.to_owned());
        tokio::spawn(async move {
            let mut buffer = Vec::new();
            loop {
                buffer.reserve(1024);
                match output.read_buf(&mut buffer).await {
                    Ok(1..) => logs.split(&source, &mut buffer),
                    _ => break,
                }
            }
            if !buffer.is_empty() {
                logs.line(&source, String::from_utf8_lossy(&buffer).trim_end());
            }
        });
    }

    /// Takes whole lines, and lines that have grown too long, from `buffer`.
    fn split(&self, source: &str, buffer: &mut Vec<u8>) {
        let mut start = 0;
        while let Some(end) = buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&buffer[start..start + end]);
            self.line(source, line.trim_end_matches('\r'));
            start += end + 1;
        }
        buffer.drain(..start);
        if buffer.len() >= MAX_LINE {
            self.line(source, &String::from_utf8_lossy(buffer));
            buffer.clear();
        }
    }

    /// One line of `source`.
    pub(crate) fn line(&self, source: &str, text: &str) {
        let mut state = self.state();
        let tail = state.tails.entry(source.to_owned()).or_default();
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(text.to_owned());
        if reports_in_use(text) {
            state.in_use.insert(source.to_owned(), text.to_owned());
        }
        if let Err(error) = state.append(&self.0.dir, source, text) {
            tracing::debug!(%error, "log file");
        }
        if self.0.terse && source != SUPERVISOR {
            return;
        }
        let line = Line {
            source: source.to_owned(),
            width: state.width,
            text: text.to_owned(),
        };
        drop(state);
        if self.0.terminal.try_send(line).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.sent.fetch_add(1, Ordering::Release);
        }
    }

    /// Waits until the terminal has what was printed so far, or does not take it.
    pub(crate) fn flush(&self) {
        let mut waited = Duration::ZERO;
        while self.0.printed.load(Ordering::Acquire) < self.0.sent.load(Ordering::Acquire)
            && waited < FLUSH
        {
            thread::sleep(Duration::from_millis(5));
            waited += Duration::from_millis(5);
        }
    }

    /// One line of the supervisor itself.
    pub(crate) fn say(&self, text: &str) {
        self.line(SUPERVISOR, text);
    }

    /// The last lines of `source`.
    pub(crate) fn tail(&self, source: &str) -> Vec<String> {
        let state = self.state();
        let tail = state.tails.get(source);
        tail.map(|tail| tail.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Takes the last line in which `source` reported that an address is in use.
    pub(crate) fn take_in_use(&self, source: &str) -> Option<String> {
        self.state().in_use.remove(source)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LogState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true if a line is an error about an address in use, as the system and runtimes word it.
fn reports_in_use(line: &str) -> bool {
    let line = line.to_lowercase();
    ["address already in use", "address in use", "eaddrinuse"]
        .iter()
        .any(|words| line.contains(words))
}

impl LogState {
    fn append(&mut self, dir: &Path, source: &str, text: &str) -> io::Result<()> {
        let name = file_of(source);
        if !self.files.contains_key(name) {
            let log = LogFile::open(&dir.join(format!("{name}.log")))?;
            self.files.insert(name.to_owned(), log);
        }
        let Some(log) = self.files.get_mut(name) else {
            return Ok(());
        };
        let line = format!("{} {source} {text}\n", iso8601(SystemTime::now()));
        log.file.write_all(line.as_bytes())?;
        log.size += line.len() as u64;
        if log.size >= MAX_FILE {
            let path = dir.join(format!("{name}.log"));
            fs::rename(&path, dir.join(format!("{name}.log.1")))?;
            *log = LogFile::open(&path)?;
        }
        Ok(())
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

/// Prints lines until every sender is gone.
fn print(lines: &Receiver<Line>, dropped: &AtomicU64, printed: &AtomicU64, colours: bool) {
    let mut out = BufWriter::new(io::stdout());
    while let Ok(line) = lines.recv() {
        let mut count = 0;
        let mut next = Some(line);
        while let Some(line) = next {
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let _ = writeln!(out, "({lost} lines not shown; the log files have them)");
            }
            let _ = out.write_all(render(&line.source, line.width, &line.text, colours).as_bytes());
            count += 1;
            next = lines.try_recv().ok();
        }
        let _ = out.flush();
        printed.fetch_add(count, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_reach_the_file_whole_and_the_tail_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(dir.path(), true).unwrap();
        let mut buffer = b"one\r\ntwo\nthr".to_vec();
        logs.split("web-0", &mut buffer);
        assert_eq!(buffer, b"thr");
        assert_eq!(logs.tail("web-0"), ["one", "two"]);

        let text = fs::read_to_string(dir.path().join("web.log")).unwrap();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap().1)
            .collect();
        assert_eq!(lines, ["web-0 one", "web-0 two"]);
    }

    #[test]
    fn a_file_that_has_grown_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = LogState::default();
        state.append(dir.path(), "web-0", "first").unwrap();
        state.files.get_mut("web").unwrap().size = MAX_FILE;
        state.append(dir.path(), "web-0", "second").unwrap();
        state.append(dir.path(), "web-0", "third").unwrap();

        let old = fs::read_to_string(dir.path().join("web.log.1")).unwrap();
        let new = fs::read_to_string(dir.path().join("web.log")).unwrap();
        assert!(old.contains("first") && old.contains("second") && new.contains("third"));
        assert!(!new.contains("second"));
    }
}
