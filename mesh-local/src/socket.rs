//! Unix sockets that only their owner can connect to.

use crate::atomic::folder_of;
use rustix::{fs::Mode, process::umask};
use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::net::UnixListener},
    path::{Path, PathBuf},
};

/// The longest path in bytes that a socket address holds, without its final zero.
const MAX_PATH: usize = 107;

/// Listens on `path` with mode 0600, in place of a socket that exists there.
///
/// The listener is non-blocking. Lock the folder before, so that the existing socket is a leftover
/// and not another process's. While the call runs, files that other threads create lack the
/// permissions of group and others: the process has one umask.
///
/// # Errors
///
/// Returns the error of removing the old socket or binding the new one.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let short = SocketPath::open(path)?;
    // Changing the mode afterwards would leave a moment in which anybody may connect.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(short);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A path for a socket address: as given, or through a descriptor of its folder if it is longer than
/// the 107 bytes of an address.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl SocketPath {
    /// Opens the folder of `path` if the path is too long for an address.
    ///
    /// # Errors
    ///
    /// Returns the error of opening the folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let folder = File::open(folder_of(path))?;
        let name = path.file_name().unwrap_or_default();
        let descriptor = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        Ok(Self {
            path: descriptor.join(name),
            _folder: Some(folder),
        })
    }
}

/// The path to bind or connect, valid as long as this lives.
impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{fs::PermissionsExt, net::UnixStream};

    #[test]
    fn a_socket_is_its_owners_however_long_its_path() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a".repeat(120));
        fs::create_dir(&deep).unwrap();
        for path in [root.path().join("s"), deep.join("s")] {
            let first = bind(&path).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            drop(first);
            let second = bind(&path).unwrap();
            let _client = UnixStream::connect(SocketPath::open(&path).unwrap()).unwrap();
            second.accept().unwrap();
        }
    }
}
