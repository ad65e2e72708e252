//! Requests that were written and lost: sent again if nobody has read them, else an error that says
//! what may have happened.

use crate::recorder::{OK, Recorder, UNREAD};
use crate::support::{frames::*, *};
use mesh_proxy::Role;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

/// A server that reads requests and dies of the first so many.
struct Dying {
    listener: std::net::SocketAddr,
    seen: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Dying {
    async fn start(deaths: usize) -> Self {
        let listener = TcpListener::bind(any()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<AtomicUsize>::default();
        let count = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                if count.fetch_add(1, SeqCst) >= deaths {
                    let ok = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                    socket.write_all(ok).await.unwrap();
                }
            }
        });
        Self {
            listener: addr,
            seen,
            task,
        }
    }

    fn seen(&self) -> usize {
        self.seen.load(SeqCst)
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The reason of the error that came of a request to `books`.
async fn outcome(proxy: &Running, method: &str) -> Option<String> {
    let mut client = Client::http1(proxy.addr()).await;
    let req = client.request(method, "books:80", "/", "");
    let reply = client.send(req).await.unwrap();
    assert_eq!(
        reply.status.is_success(),
        reply.header("mesh-reason").is_none()
    );
    reply.header("mesh-reason").map(str::to_owned)
}

fn in_front_of(addrs: &[std::net::SocketAddr], is_retryable: bool, resend: Duration) -> Running {
    let discovery = Discovery::default();
    let profile = profile(|route| {
        route.is_retryable = is_retryable;
        route.condition = mesh_profile::RequestMatchSpec::path_regex("/.*");
    });
    discovery.set("books:80", destination("books.shop:80", profile, addrs));
    let mut config = config([Role::Outbound]);
    config.limits.resend = resend;
    Running::discovering(config, &discovery)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_an_endpoint_has_read_is_tried_again_only_if_its_route_is_retryable() {
    for (method, is_retryable, reason, seen) in [
        ("GET", false, Some("reset"), 1),
        ("DELETE", false, Some("reset"), 1),
        ("POST", false, Some("maybe-processed"), 1),
        ("GET", true, None, 2),
        ("POST", true, None, 2),
    ] {
        for meshed in [false, true] {
            let (one, two) = (Dying::start(1).await, Dying::start(1).await);
            let there = [&one, &two]
                .map(|app| meshed.then(|| Running::start(config([Role::Inbound(app.listener)]))));
            let addrs = match &there {
                [Some(one), Some(two)] => [one.addr(), two.addr()],
                _ => [one.listener, two.listener],
            };
            let proxy = in_front_of(&addrs, is_retryable, HOUR);
            let got = outcome(&proxy, method).await;
            let all = one.seen() + two.seen();
            // Each of the two dies of its first.
            let seen = seen + usize::from(is_retryable && one.seen() > 0 && two.seen() > 0);
            assert_eq!((got.as_deref(), all), (reason, seen), "{method} {meshed}");
        }
    }
}

/// The result of the second GET of `client`, and the number of resends outside the budget.
async fn second(proxy: &Running, mut client: Client) -> (Option<String>, f64) {
    assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
    let reply = client.get("books:80", "/").await.unwrap();
    let reason = reply.header("mesh-reason").map(str::to_owned);
    let resent = proxy.metrics().await.sum("request_resent_total", &[]);
    (reason, resent)
}

#[tokio::test]
async fn what_crossed_the_close_of_a_used_connection_is_sent_again_unless_that_is_switched_off() {
    for (reads, resend, reason, resent) in [
        (false, HOUR, None, 1.0),
        (false, Duration::ZERO, Some("reset"), 0.0),
        (true, Duration::from_millis(300), Some("reset"), 0.0),
    ] {
        // Each connection ends with its second request.
        let script = move |n| match n {
            1 if reads => vec![],
            1 => UNREAD.to_vec(),
            _ => OK.to_vec(),
        };
        let server = Recorder::answering(script).await;
        let proxy = in_front_of(&[server.addr()], false, resend);
        let got = second(&proxy, Client::http1(proxy.addr()).await).await;
        assert_eq!((got.0.as_deref(), got.1), (reason, resent), "{reads}");

        let listener = TcpListener::bind(any()).await.unwrap();
        let proxy = in_front_of(&[listener.local_addr().unwrap()], false, resend);
        let server = tokio::spawn(async move {
            loop {
                let mut peer = Peer::accept(&listener).await;
                peer.serve().await;
                match reads {
                    true => drop(peer.read().await),
                    false => peer.leave_unread().await,
                }
            }
        });
        let got = second(&proxy, Client::http2(proxy.addr()).await).await;
        assert_eq!(
            (got.0.as_deref(), got.1),
            (reason, resent),
            "HTTP/2 {reads}"
        );
        server.abort();
    }
}

#[tokio::test]
async fn a_stream_that_its_peer_reset_is_not_free_unless_it_was_refused() {
    const INTERNAL_ERROR: u8 = 2;
    const REFUSED_STREAM: u8 = 7;
    const CANCEL: u8 = 8;
    const ENHANCE_YOUR_CALM: u8 = 11;
    for (code, reason, resent) in [
        (INTERNAL_ERROR, Some("reset"), 0.0),
        (CANCEL, Some("reset"), 0.0),
        (ENHANCE_YOUR_CALM, Some("reset"), 0.0),
        (REFUSED_STREAM, None, 1.0),
    ] {
        let listener = TcpListener::bind(any()).await.unwrap();
        let proxy = in_front_of(&[listener.local_addr().unwrap()], false, HOUR);
        let server = tokio::spawn(async move {
            let mut peer = Peer::accept(&listener).await;
            peer.serve().await;
            let (.., stream, _) = peer.read().await.unwrap();
            peer.write(RST_STREAM, 0, stream, &[0, 0, 0, code]).await;
            peer.serve().await;
        });
        let got = second(&proxy, Client::http2(proxy.addr()).await).await;
        assert_eq!((got.0.as_deref(), got.1), (reason, resent), "{code}");
        server.abort();
    }
}

#[tokio::test]
async fn a_peer_that_asks_for_less_is_not_asked_again_for_free() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let proxy = in_front_of(&[listener.local_addr().unwrap()], false, HOUR);
    let server = tokio::spawn(async move {
        loop {
            let mut peer = Peer::accept(&listener).await;
            peer.serve().await;
            peer.read().await.unwrap();
            // Of the first stream; ENHANCE_YOUR_CALM.
            peer.write(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11]).await;
            while peer.read().await.is_some() {}
        }
    });
    let got = second(&proxy, Client::http2(proxy.addr()).await).await;
    assert_eq!(got, (Some("reset".to_owned()), 0.0));
    server.abort();
}

/// A program that serves HTTP/1.1 and ends while it handles `/die`; it prints its port.
const MORTAL: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/die":
            os._exit(1)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A running program; killed when dropped.
struct Replica {
    process: std::process::Child,
    addr: std::net::SocketAddr,
}

impl Replica {
    fn start() -> Self {
        let mut process = std::process::Command::new("python3")
            .args(["-c", MORTAL])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(process.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Self {
            process,
            addr: ([127, 0, 0, 1], port).into(),
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_request_that_ends_the_program_ends_one_replica() {
    for meshed in [false, true] {
        let mut replicas = [(); 2].map(|()| Replica::start());
        let there = [0, 1]
            .map(|n| meshed.then(|| Running::start(config([Role::Inbound(replicas[n].addr)]))));
        let addrs = [0, 1].map(|n| match &there[n] {
            Some(sidecar) => sidecar.addr(),
            None => replicas[n].addr,
        });
        let proxy = in_front_of(&addrs, false, Duration::from_millis(100));
        let mut client = Client::http1(proxy.addr()).await;
        // Connections to both are there to be used again.
        for _ in 0..20 {
            assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
        }
        let died = client.get("books:80", "/die").await.unwrap();
        assert_eq!(died.header("mesh-reason"), Some("reset"));
        let mut client = Client::http1(proxy.addr()).await;
        for _ in 0..20 {
            assert_eq!(client.get("books:80", "/").await.unwrap().status, 200);
        }
        let alive = |replica: &mut Replica| replica.process.try_wait().unwrap().is_none();
        assert_eq!(
            replicas
                .iter_mut()
                .filter_map(|r| alive(r).then_some(()))
                .count(),
            1
        );
    }
}
