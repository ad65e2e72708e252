//! Which mesh: a folder upward, as git finds its own, a socket, or an address.

use anyhow::{Result, anyhow};
use mesh_local::SocketPath;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::net::UnixStream;

/// The name of the folder that holds a mesh's state, found upward as git finds `.git`.
pub(crate) const STATE_DIR: &str = ".mesh";
pub(super) const CONTROLLER_SOCKET: &str = "controller.sock";
pub(super) const SUPERVISOR_SOCKET: &str = "up.sock";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Unix(PathBuf),
    Tcp(String),
}

/// Where `--api` points: a state folder, a socket in one, or an address.
pub(super) fn transport_of(api: &str, socket: &str) -> Transport {
    if let Some(path) = api.strip_prefix("unix:") {
        return beside(Path::new(path.trim_start_matches("//").trim_end()), socket);
    }
    if let Some(rest) = api.strip_prefix("http://") {
        return Transport::Tcp(rest.trim_end_matches('/').to_owned());
    }
    let path = Path::new(api);
    let is_address = !api.contains('/') && api.contains(':') && !path.exists();
    if is_address {
        return Transport::Tcp(api.to_owned());
    }
    beside(path, socket)
}

/// `socket` in the state folder that `path` is, contains, or points into.
fn beside(path: &Path, socket: &str) -> Transport {
    let dir = if path
        .extension()
        .is_some_and(|extension| extension == "sock")
    {
        path.parent().unwrap_or(Path::new("."))
    } else if path.file_name().is_some_and(|name| name != STATE_DIR)
        && path.join(STATE_DIR).is_dir()
    {
        return Transport::Unix(path.join(STATE_DIR).join(socket));
    } else {
        path
    };
    Transport::Unix(dir.join(socket))
}

/// The nearest state folder at or above `start`.
pub(super) fn nearest(start: &Path) -> Result<PathBuf> {
    start
        .ancestors()
        .map(|dir| dir.join(STATE_DIR))
        .find(|dir| dir.is_dir())
        .ok_or_else(|| {
            anyhow!(
                "no mesh here: there is no {STATE_DIR} folder in {} or above; start one with \
                 `mesh up PATH`, or name one with --api or MESH_API",
                start.display()
            )
        })
}

/// Connects to the socket at `path`, which may be longer than a socket address.
pub(crate) async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(SocketPath::open(path)?).await
}

pub(super) fn unreachable(path: &Path, error: io::Error) -> anyhow::Error {
    let dir = path.parent().unwrap_or(path).display();
    let what = if path.ends_with(SUPERVISOR_SOCKET) {
        "the mesh"
    } else {
        "the controller"
    };
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow!(
            "{what} of {dir} is not running; start the mesh with `mesh up`, or look at \
             `mesh check`"
        ),
        _ => anyhow!(error).context(format!("cannot reach {what} at {}", path.display())),
    }
}

pub(super) fn unreachable_tcp(addr: &str) -> String {
    format!("cannot reach the controller at {addr}; is the mesh running there?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_api_is_a_folder_a_socket_or_an_address() {
        let unix = |path: &str| Transport::Unix(path.into());
        for (api, target) in [
            (
                "http://127.0.0.1:8085/",
                Transport::Tcp("127.0.0.1:8085".into()),
            ),
            ("localhost:8085", Transport::Tcp("localhost:8085".into())),
            ("unix:/a/.mesh/controller.sock", unix("/a/.mesh/up.sock")),
            ("/a/.mesh/controller.sock", unix("/a/.mesh/up.sock")),
            ("/a/.mesh", unix("/a/.mesh/up.sock")),
        ] {
            assert_eq!(transport_of(api, "up.sock"), target, "{api}");
        }
    }

    #[test]
    fn the_nearest_state_folder_upward_is_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        assert!(nearest(&deep).unwrap_err().to_string().contains("mesh up"));

        fs::create_dir(root.path().join("a").join(STATE_DIR)).unwrap();
        assert_eq!(nearest(&deep).unwrap(), root.path().join("a/.mesh"));
    }
}
