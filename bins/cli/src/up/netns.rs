//! Network namespaces without a name: each lasts as long as somebody holds it open or is in it.

use anyhow::{Context as _, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, AsRawFd as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// A namespace, held open. It ends with this process, however that ends.
#[derive(Debug)]
pub(crate) struct Netns(File);

impl Netns {
    /// A new one, in which nothing is up.
    pub(crate) fn new() -> Result<Self> {
        // A program makes it, rather than a thread of ours: no safe call makes one here.
        let mut maker = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo && read _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start unshare")?;
        let mut made = String::new();
        if let Some(stdout) = maker.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut made);
        }
        let namespace = File::open(format!("/proc/{}/ns/net", maker.id()));
        drop(maker.stdin.take());
        let ended = maker.wait()?;
        if made.is_empty() {
            bail!("unshare --net: {ended}; does the kernel allow network namespaces?");
        }
        Ok(Self(namespace.context("opening a network namespace")?))
    }

    /// Where other processes find it.
    pub(crate) fn path(&self) -> PathBuf {
        let (pid, fd) = (std::process::id(), self.0.as_raw_fd());
        format!("/proc/{pid}/fd/{fd}").into()
    }

    /// Does `work` on a thread in the namespace; processes that it starts are there, too.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                enter(&self.0).context("cannot enter a network namespace")?;
                work()
            });
            worker.join().unwrap_or_else(|_| bail!("a thread panicked"))
        })
    }

    /// Runs each of `lines` as a command of `ip` in the namespace.
    pub(crate) fn ip(&self, lines: &str) -> Result<()> {
        self.within(|| ip(lines))
    }
}

/// Moves this thread into `namespace`.
pub(crate) fn enter(namespace: impl AsFd) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// Runs each of `lines` as a command of `ip`.
pub(crate) fn ip(lines: &str) -> Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start ip")?;
    if let Some(mut stdin) = ip.stdin.take() {
        let _ = stdin.write_all(lines.as_bytes());
    }
    let output = ip.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ip -batch: {}; it was told:\n{lines}", said.trim());
    }
    Ok(())
}

/// Connects to `addr` in the namespace at `path`.
pub(crate) async fn connect(
    path: &Path,
    addr: SocketAddr,
    limit: Duration,
) -> io::Result<tokio::net::TcpStream> {
    let namespace = File::open(path)?;
    let (tell, told) = tokio::sync::oneshot::channel();
    // Not of the runtime's: a thread does not come back from where it went.
    thread::Builder::new().stack_size(64 << 10).spawn(move || {
        let connected = enter(&namespace).and_then(|()| {
            let stream = TcpStream::connect_timeout(&addr, limit)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        let _ = tell.send(connected);
    })?;
    let stream = told.await.map_err(io::Error::other)??;
    tokio::net::TcpStream::from_std(stream)
}
