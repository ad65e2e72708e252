//! The whole sidecar in one thread: a client, the proxy with everything on, and three endpoints,
//! on the sockets of this machine. Client and endpoints are bare bytes, so that next to all of the
//! work is the proxy's.

mod frames;

use mesh_proxy::{Config, Limits, Listener, Proxy, Role, Standalone};
use std::{
    any::Any,
    env, fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// Protocol between client and endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request after the other.
    Http1,
    /// HTTP/2 with prior knowledge, one stream after the other.
    H2c,
    /// The same with gRPC calls of one message each way: bodies in both directions, and trailers.
    Grpc,
}

/// A client's connection to a running sidecar.
pub struct Wire {
    runtime: Runtime,
    client: TcpStream,
    protocol: Protocol,
    streams: u32,
    buffer: Vec<u8>,
    profile: PathBuf,
    _proxy: Box<dyn Any>,
}

/// Of a body, in bytes.
const BODY: usize = 1_024;

/// Routes of the profile, all retryable and all with a timeout.
const ROUTES: usize = 20;

/// Seven headers beside the host.
const HEADERS: [(&str, &str); 8] = [
    ("host", "books"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("user-agent", "mesh-bench/1.0"),
    ("x-request-id", "6f1d8a52-9c0e-4f0b-8a57-0d9b4d1c7c11"),
    ("x-forwarded-for", "192.0.2.7"),
    ("cache-control", "no-cache"),
];

/// Matches the last route.
const PATH: &str = "/books/42.json";

/// Of gRPC; the last route, too.
const METHOD_PATH: &str = "/books.Books/Read";

impl Wire {
    /// Starts everything and sends requests until connections are open and buffers are grown.
    ///
    /// # Panics
    ///
    /// If there are no sockets, or if the proxy does not serve.
    pub fn new(protocol: Protocol) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let profile =
            env::temp_dir().join(format!("mesh-benches-{}-{protocol:?}.yaml", process::id()));
        fs::write(&profile, routes(protocol)).expect("a temporary file");
        let (client, proxy) = runtime.block_on(async {
            let mut forward = Vec::new();
            for _ in 0..3 {
                forward.push(endpoint(protocol).await.to_string());
            }
            let proxy = Proxy::bind(config(forward, &profile)).expect("free ports");
            let addr = proxy.addrs()[0];
            let proxy = proxy.serve_here().await.expect("a proxy that serves");
            let mut client = TcpStream::connect(addr).await.expect("a connection");
            client.set_nodelay(true).expect("a socket option");
            if protocol != Protocol::Http1 {
                client
                    .write_all(frames::HELLO)
                    .await
                    .expect("an open socket");
            }
            (client, Box::new(proxy) as Box<dyn Any>)
        });
        let mut wire = Self {
            runtime,
            client,
            protocol,
            streams: 0,
            buffer: vec![0; 16 << 10],
            profile,
            _proxy: proxy,
        };
        // Enough requests to reach every endpoint.
        wire.exchange(200);
        wire
    }

    /// Sends so many requests, one after the other, and reads their responses.
    ///
    /// # Panics
    ///
    /// If one is not answered with 200.
    pub fn exchange(&mut self, times: usize) {
        let Self {
            runtime,
            client,
            streams,
            buffer,
            ..
        } = self;
        match self.protocol {
            Protocol::Http1 => {
                let request = request();
                runtime.block_on(async {
                    for _ in 0..times {
                        client.write_all(&request).await.expect("an open socket");
                        let read = read_to(client, buffer, |all| {
                            let head = all.windows(4).position(|end| end == b"\r\n\r\n")?;
                            (all.len() >= head + 4 + BODY).then_some(())
                        });
                        read.await.expect("a response");
                        assert!(
                            buffer.starts_with(b"HTTP/1.1 200"),
                            "{}",
                            buffer.escape_ascii()
                        );
                    }
                });
            }
            protocol => runtime.block_on(async {
                let mut request = frames::request(protocol);
                for _ in 0..times {
                    let id = 2 * *streams + 1;
                    *streams += 1;
                    let answered = frames::ask(client, buffer, &mut request, id);
                    answered.await.expect("a response");
                }
            }),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.profile);
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.protocol).finish()
    }
}

fn request() -> Vec<u8> {
    let mut text = format!("GET {PATH} HTTP/1.1\r\n");
    for (name, value) in HEADERS {
        text.extend([name, ": ", value, "\r\n"]);
    }
    (text + "\r\n").into_bytes()
}

/// Reads until `done` finds what it looks for.
async fn read_to<T>(
    socket: &mut TcpStream,
    buffer: &mut [u8],
    done: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let mut len = 0;
    loop {
        match socket.read(&mut buffer[len..]).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => len += more,
        }
        if let Some(found) = done(&buffer[..len]) {
            return Some(found);
        }
    }
}

/// A service that answers every request alike.
async fn endpoint(protocol: Protocol) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            match protocol {
                Protocol::Http1 => tokio::spawn(answer(socket)),
                _ => tokio::spawn(frames::answer(socket, protocol)),
            };
        }
    });
    addr
}

async fn answer(mut socket: TcpStream) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {BODY}\r\n\r\n"
    );
    let response = [head.as_bytes(), &[b'x'; BODY]].concat();
    let mut buffer = vec![0; 4 << 10];
    let is_whole = |all: &[u8]| all.ends_with(b"\r\n\r\n").then_some(());
    while read_to(&mut socket, &mut buffer, is_whole).await.is_some() {
        if socket.write_all(&response).await.is_err() {
            return;
        }
    }
}

fn config(forward: Vec<String>, profile: &Path) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        listeners: vec![Listener {
            addr: any,
            role: Role::Forward,
        }],
        admin: any,
        control: None,
        namespace: String::new(),
        cluster_domain: "cluster.local".into(),
        labels: Vec::new(),
        workers: 1,
        lifeline: false,
        standalone: Some(Standalone {
            forward,
            profile: Some(profile.to_owned()),
        }),
        opaque_ports: [].into(),
        limits: Limits::default(),
        log: "off".into(),
    }
}

fn routes(protocol: Protocol) -> String {
    let mut text = "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: books.default.svc.cluster.local, namespace: default}\nspec:\n  routes:\n".to_owned();
    let others = (0..ROUTES - 1).map(|n| ("GET", format!("/things/{n}/[^/]*/parts")));
    let last = match protocol {
        Protocol::Grpc => ("POST", METHOD_PATH.replace('.', r"\.")),
        _ => ("GET", r"/books/[^/]*\.json".to_owned()),
    };
    for (method, path) in others.chain([last]) {
        text += &format!(
            "  - {{name: {path:?}, condition: {{method: {method}, pathRegex: '{path}'}}, isRetryable: true, timeout: 10s}}\n"
        );
    }
    text
}
