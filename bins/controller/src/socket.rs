//! The Unix socket of the API that may change things.

use anyhow::{Context, Result};
use rustix::{fs::Mode, process::umask};
use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::net::UnixListener},
    path::Path,
};

/// The longest path that a socket's address holds, with its final zero.
const MAX_PATH: usize = 107;

/// Listens on `path` for this user alone, instead of whoever left a socket there.
///
/// The folder must be locked by the caller; and the process must still have one thread, for
/// the mode of new files belongs to the whole process.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    let context = || format!("cannot listen on {}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(context);
        }
        _ => {}
    }
    // Changing the mode afterwards would leave a moment in which anybody may connect.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = bind(path);
    umask(before);
    let listener = listener.with_context(context)?;
    listener.set_nonblocking(true).with_context(context)?;
    Ok(listener)
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if path.as_os_str().len() <= MAX_PATH {
        return UnixListener::bind(path);
    }
    // A state folder deep in somebody's home: by way of its descriptor, the path is short.
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    UnixListener::bind(short.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_is_its_owners_however_long_its_path() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a".repeat(120));
        fs::create_dir(&deep).unwrap();
        for path in [root.path().join("s"), deep.join("s")] {
            let first = listen(&path).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            drop(first);
            listen(&path).unwrap();
        }
    }
}
