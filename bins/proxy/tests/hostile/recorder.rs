use crate::support::{Running, any, config};
use mesh_proxy::{Limits, Role, Standalone};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// In place of an answer: the connection is closed while the request lies unread in it.
pub(crate) const UNREAD: &[u8] = b"unread";

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that keeps every byte that it gets, and answers each whole request with what a test
/// has chosen.
pub(crate) struct Recorder {
    addr: SocketAddr,
    bytes: Arc<Mutex<Vec<Vec<u8>>>>,
    task: AbortHandle,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        Self::answering(|_| OK.to_vec()).await
    }

    /// `answer` is given the number of the request, from 0. An empty one is the end of the
    /// connection, [`UNREAD`] its end without reading the request.
    pub(crate) async fn answering(
        answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(any()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let bytes = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let log = bytes.clone();
        let (answer, count) = (Arc::new(answer), Arc::new(Mutex::new(0)));
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (log, answer, count) = (log.clone(), answer.clone(), count.clone());
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(Vec::new());
                    log.len() - 1
                };
                tokio::spawn(async move {
                    let next = |peeked: bool| {
                        let mut count = count.lock().unwrap();
                        let answer = answer(*count);
                        *count += usize::from(!peeked || answer == UNREAD);
                        answer
                    };
                    let _ = converse(socket, next, |bytes| {
                        log.lock().unwrap()[number].extend_from_slice(bytes);
                    })
                    .await;
                });
            }
        });
        Self {
            addr,
            bytes,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The bytes received, by connection.
    pub(crate) fn connections(&self) -> Vec<String> {
        let text = |bytes: &Vec<u8>| bytes.escape_ascii().to_string().replace("\\r\\n", "|");
        self.bytes.lock().unwrap().iter().map(text).collect()
    }

    /// All that it got; each line ends with `|`.
    pub(crate) fn got(&self) -> String {
        self.connections().concat()
    }

    /// A standalone proxy in front of it.
    pub(crate) fn proxy(&self) -> Running {
        self.proxy_with(|_| {})
    }

    pub(crate) fn proxy_with(&self, change: impl FnOnce(&mut Limits)) -> Running {
        let mut config = config([Role::Forward]);
        config.standalone = Some(Standalone {
            forward: vec![self.addr.to_string()],
            profile: None,
        });
        change(&mut config.limits);
        Running::start(config)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut socket: TcpStream,
    mut answer: impl FnMut(bool) -> Vec<u8>,
    log: impl Fn(&[u8]),
) -> std::io::Result<()> {
    let mut unread = Vec::new();
    loop {
        while let Some(length) = whole(&unread) {
            unread.drain(..length);
            let answer = answer(false);
            if answer.is_empty() {
                return Ok(());
            }
            socket.write_all(&answer).await?;
        }
        if unread.is_empty() {
            let mut peeked = [0; 4096];
            let mut length = socket.peek(&mut peeked).await?;
            // Asked once it is there, as other connections have their turns, too.
            if length > 0 && answer(true) == UNREAD {
                while whole(&peeked[..length]).is_none() {
                    tokio::task::yield_now().await;
                    length = socket.peek(&mut peeked).await?;
                }
                log(&peeked[..length]);
                return Ok(());
            }
        }
        let before = unread.len();
        if socket.read_buf(&mut unread).await? == 0 {
            return Ok(());
        }
        log(&unread[before..]);
    }
}

/// Length of the first request in `bytes`, if it is whole. It knows only the framings that our
/// proxy writes: one length, or chunks.
fn whole(bytes: &[u8]) -> Option<usize> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what);
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let body = &bytes[head..];
    if text.contains("\r\ntransfer-encoding: chunked\r\n") {
        let last = match body.starts_with(b"0\r\n") {
            true => 0,
            false => find(body, b"\r\n0\r\n")? + 2,
        };
        // Trailers, if any, come before the empty line.
        return Some(head + last + find(&body[last..], b"\r\n\r\n")? + 4);
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then_some(head + length)
}
