use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Nothing here takes so long; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A client that says what a test has it say, byte for byte.
pub(crate) struct Wire {
    socket: TcpStream,
    unread: Vec<u8>,
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.unwrap();
        // What is said in parts arrives in parts, and at once.
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            unread: Vec::new(),
        }
    }

    /// Sends as much as the proxy takes: it may have closed.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await;
    }

    /// The next response, or nothing if the connection ends.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut answer = Answer {
            head,
            body: Vec::new(),
        };
        let bodiless = method == "HEAD" || matches!(answer.status(), 100..200 | 204 | 304);
        if bodiless {
            return Some(answer);
        }
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            while self.unread.len() < length {
                self.more().await?;
            }
            answer.body = self.unread.drain(..length).collect();
            return Some(answer);
        }
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        loop {
            let line = loop {
                if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                    break self.unread.drain(..end + 2).collect::<Vec<_>>();
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            while self.unread.len() < size + 2 {
                self.more().await?;
            }
            answer.body.extend(self.unread.drain(..size + 2).take(size));
            if size == 0 {
                return Some(answer);
            }
        }
    }

    /// Everything until the proxy closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads on; nothing at the end.
    pub(crate) async fn more(&mut self) -> Option<()> {
        let mut buf = [0; 16 * 1024];
        let read = timeout(PATIENCE, self.socket.read(&mut buf)).await;
        match read.expect("the proxy neither answers nor closes") {
            Ok(n @ 1..) => {
                self.unread.extend_from_slice(&buf[..n]);
                Some(())
            }
            _ => None,
        }
    }

    pub(crate) fn take_unread(&mut self, n: usize) -> Option<Vec<u8>> {
        (self.unread.len() >= n).then(|| self.unread.drain(..n).collect())
    }
}
