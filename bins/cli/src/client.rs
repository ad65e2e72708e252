//! Talks to the running mesh: HTTP over the sockets of its state folder, or over TCP.

use crate::args::Global;
use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};
use tokio::net::{TcpStream, UnixStream};

/// The name of the folder that holds a mesh's state, found upward as git finds `.git`.
pub(crate) const STATE_DIR: &str = ".mesh";
const CONTROLLER_SOCKET: &str = "controller.sock";
const SUPERVISOR_SOCKET: &str = "up.sock";

/// The longest answer that is read whole.
const MAX_ANSWER: usize = 64 << 20;
/// The longest line of a stream.
const MAX_LINE: usize = 4 << 20;

/// A client of one mesh. Every request is a connection of its own: a command makes few.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Unix(PathBuf),
    Tcp(String),
}

/// An answer that says no.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// The controller of the mesh that `--api`, `MESH_API` or the nearest `.mesh` upward names.
    pub(crate) fn find(global: &Global) -> Result<Self> {
        Self::resolve(global, CONTROLLER_SOCKET)
    }

    /// The supervisor (`mesh up`) of that mesh.
    pub(crate) fn supervisor(global: &Global) -> Result<Self> {
        let found = Self::resolve(global, SUPERVISOR_SOCKET)?;
        if let Target::Tcp(addr) = &found.target {
            bail!("{addr} is read-only: give --api the state folder (.mesh) of the mesh instead");
        }
        Ok(found)
    }

    /// The supervisor of the mesh whose state is in `state_dir`.
    pub(crate) fn supervisor_in(state_dir: &Path) -> Self {
        Self::unix(state_dir.join(SUPERVISOR_SOCKET))
    }

    /// The controller of the mesh whose state is in `state_dir`.
    pub(crate) fn controller_in(state_dir: &Path) -> Self {
        Self::unix(state_dir.join(CONTROLLER_SOCKET))
    }

    fn unix(path: PathBuf) -> Self {
        Self {
            target: Target::Unix(path),
        }
    }

    fn resolve(global: &Global, socket: &str) -> Result<Self> {
        let target = match &global.api {
            Some(api) => target_of(api, socket),
            None => Target::Unix(nearest(&std::env::current_dir()?)?.join(socket)),
        };
        Ok(Self { target })
    }

    /// The state folder, when the mesh is reached through one.
    pub(crate) fn state_dir(&self) -> Option<&Path> {
        match &self.target {
            Target::Unix(path) => path.parent(),
            Target::Tcp(_) => None,
        }
    }

    /// The namespace a command works in: the flag's, else the running mesh's, else `default`.
    pub(crate) async fn namespace(&self, global: &Global) -> Result<String> {
        #[derive(serde::Deserialize)]
        struct Version {
            namespace: Option<String>,
        }
        if let Some(namespace) = &global.namespace {
            return Ok(namespace.clone());
        }
        let version: Version = self.get_json("/api/v1/version", &[]).await?;
        Ok(version.namespace.unwrap_or_else(|| "default".to_owned()))
    }

    /// Reads `path`, with `query` encoded, as JSON.
    pub(crate) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        let body = self.call(Method::GET, path, query, None).await?;
        parse(path, &body)
    }

    /// Sends `body`, text of `content_type`, and reads the answer as JSON.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<T> {
        let body = Some((content_type, body.into()));
        let answer = self.call(Method::PUT, path, query, body).await?;
        parse(path, &answer)
    }

    /// Asks for something to be done, and reads the answer as JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<T> {
        let body = Some(("application/json", body.into()));
        let answer = self.call(Method::POST, path, query, body).await?;
        parse(path, &answer)
    }

    /// Deletes `path`.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, &[], None).await?;
        Ok(())
    }

    /// Reads `path` as lines that keep coming (newline-delimited JSON, or text).
    pub(crate) async fn stream_lines(&self, path: &str, query: &[(&str, &str)]) -> Result<Lines> {
        let response = self.send(Method::GET, path, query, None).await?;
        Ok(Lines::of(response))
    }

    /// Asks for something that lasts as long as the answer does, and reads that as lines.
    pub(crate) async fn post_lines(&self, path: &str, body: impl Into<Bytes>) -> Result<Lines> {
        let body = Some(("application/json", body.into()));
        let response = self.send(Method::POST, path, &[], body).await?;
        Ok(Lines::of(response))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Bytes> {
        let response = self.send(method, path, query, body).await?;
        read(response).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(uri(path, query))
            .header(header::HOST, self.host());
        let body = body.map(|(content_type, body)| {
            request
                .headers_mut()
                .expect("the parts above are valid")
                .insert(
                    header::CONTENT_TYPE,
                    content_type.parse().expect("a constant"),
                );
            body
        });
        let request = request.body(Full::new(body.unwrap_or_default()))?;
        let response = match &self.target {
            Target::Unix(path) => {
                let stream = connect_unix(path).await;
                exchange(stream.map_err(|error| unreachable(path, error))?, request).await
            }
            Target::Tcp(addr) => {
                let stream = TcpStream::connect(addr).await;
                exchange(stream.with_context(|| unreachable_tcp(addr))?, request).await
            }
        };
        let response = response.with_context(|| format!("the mesh at {self} broke off"))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read(response).await?;
        Err(Refused(reason(status, &body)).into())
    }

    fn host(&self) -> &str {
        match &self.target {
            Target::Unix(_) => "localhost",
            Target::Tcp(addr) => addr,
        }
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.target {
            Target::Unix(path) => path.display().fmt(f),
            Target::Tcp(addr) => addr.fmt(f),
        }
    }
}

/// The lines of an answer that keeps coming.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    fn of(response: Response<Incoming>) -> Self {
        Self {
            body: response.into_body(),
            buffer: BytesMut::new(),
        }
    }

    /// The next line without its end; `None` when the other side has ended the answer.
    ///
    /// Cancel safe: what was read of a line is kept.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.buffer.len() > MAX_LINE {
                bail!("a line of the answer is longer than {MAX_LINE} bytes");
            }
            let Some(frame) = self.body.frame().await else {
                let rest = self.buffer.split();
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            };
            if let Ok(data) = frame.context("the mesh broke the stream off")?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// Where `--api` points: a state folder, a socket in one, or an address.
fn target_of(api: &str, socket: &str) -> Target {
    if let Some(path) = api.strip_prefix("unix:") {
        return beside(Path::new(path.trim_start_matches("//").trim_end()), socket);
    }
    if let Some(rest) = api.strip_prefix("http://") {
        return Target::Tcp(rest.trim_end_matches('/').to_owned());
    }
    let path = Path::new(api);
    let is_address = !api.contains('/') && api.contains(':') && !path.exists();
    if is_address {
        return Target::Tcp(api.to_owned());
    }
    beside(path, socket)
}

/// `socket` in the state folder that `path` is, contains, or points into.
fn beside(path: &Path, socket: &str) -> Target {
    let dir = if path
        .extension()
        .is_some_and(|extension| extension == "sock")
    {
        path.parent().unwrap_or(Path::new("."))
    } else if path.file_name().is_some_and(|name| name != STATE_DIR)
        && path.join(STATE_DIR).is_dir()
    {
        return Target::Unix(path.join(STATE_DIR).join(socket));
    } else {
        path
    };
    Target::Unix(dir.join(socket))
}

/// The nearest state folder at or above `start`.
fn nearest(start: &Path) -> Result<PathBuf> {
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

/// Connects to a socket however long its path is: the limit of 107 bytes is on the name given
/// to the kernel, and `/proc/self/fd/N/NAME` names the same file.
pub(crate) async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) if path.as_os_str().len() > 100 => {
            use std::os::fd::AsRawFd;
            let dir = fs::File::open(dir)?;
            let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
            UnixStream::connect(short).await
        }
        _ => UnixStream::connect(path).await,
    }
}

fn unreachable(path: &Path, error: io::Error) -> anyhow::Error {
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

fn unreachable_tcp(addr: &str) -> String {
    format!("cannot reach the controller at {addr}; is the mesh running there?")
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the response's body, or when the runtime does.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn read(response: Response<Incoming>) -> Result<Bytes> {
    http_body_util::Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| anyhow!(error).context("the answer of the mesh could not be read"))
}

fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .with_context(|| format!("the mesh's answer to {path} is not what this version expects"))
}

/// What an error answer says: the `error` of a JSON object, else its text, else its status.
fn reason(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Answer {
        error: String,
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(body) {
        return answer.error;
    }
    match String::from_utf8_lossy(body).trim() {
        "" => format!("the mesh answered {status}"),
        text => text.to_owned(),
    }
}

fn uri(path: &str, query: &[(&str, &str)]) -> String {
    let mut uri = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        encode(&mut uri, name);
        uri.push('=');
        encode(&mut uri, value);
    }
    uri
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub(crate) fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => write!(out, "%{byte:02X}").expect("a string takes all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_a_folder_a_socket_or_an_address() {
        let unix = |path: &str| Target::Unix(path.into());
        for (api, target) in [
            (
                "http://127.0.0.1:8085/",
                Target::Tcp("127.0.0.1:8085".into()),
            ),
            ("localhost:8085", Target::Tcp("localhost:8085".into())),
            ("unix:/a/.mesh/controller.sock", unix("/a/.mesh/up.sock")),
            ("/a/.mesh/controller.sock", unix("/a/.mesh/up.sock")),
            ("/a/.mesh", unix("/a/.mesh/up.sock")),
        ] {
            assert_eq!(target_of(api, "up.sock"), target, "{api}");
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

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(
            uri("/api", &[("to", "svc/books"), ("p", "a b&c")]),
            "/api?to=svc%2Fbooks&p=a%20b%26c"
        );
    }

    #[test]
    fn an_error_answer_gives_its_reason() {
        let no = StatusCode::NOT_FOUND;
        assert_eq!(reason(no, br#"{"error":"no such thing"}"#), "no such thing");
        assert_eq!(reason(no, b"plain\n"), "plain");
        assert_eq!(reason(no, b""), "the mesh answered 404 Not Found");
    }

    #[tokio::test]
    async fn a_socket_with_a_long_path_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("d".repeat(120));
        fs::create_dir(&long).unwrap();
        let dir = fs::File::open(&long).unwrap();
        use std::os::fd::AsRawFd;
        let short = format!("/proc/self/fd/{}/up.sock", dir.as_raw_fd());
        let _listener = tokio::net::UnixListener::bind(short).unwrap();

        assert!(connect_unix(&long.join("up.sock")).await.is_ok());
    }
}
