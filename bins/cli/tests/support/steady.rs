//! A load at a fixed rate, however long answers take, that checks each answer and counts each
//! failure with its cause.

use super::{Mesh, build_example, free_port, wait_for};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Of so many requests, one is a POST.
const POST_EVERY: u64 = 5;
/// Body of each request, after the request's number.
const BODY: &str = "a book, a review of it, and the address to send it to";
/// No answer takes this long, unless it is lost.
const PATIENCE: Duration = Duration::from_secs(15);
/// Until programs that were just built have started.
const STARTING: Duration = Duration::from_secs(60);
/// With more requests in flight than this, the generator cannot hold its rate.
const MOST_IN_FLIGHT: usize = 4096;
/// Causes that are remembered.
const MOST_CAUSES: usize = 100;

/// Where to send requests, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// A port of a proxy.
    pub addr: SocketAddr,
    pub form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTTP/1.1 to a port that stands for the service.
    Origin,
    /// HTTP/1.1 to a port that is an HTTP proxy's.
    Absolute,
    /// HTTP/2 with prior knowledge; all requests share a connection.
    Http2,
}

/// Runs until it is stopped.
pub struct Steady {
    over: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    thread: JoinHandle<()>,
}

/// Results of the requests.
#[derive(Clone, Default)]
pub struct Tally {
    /// Requests.
    pub sent: u64,
    /// Those of them that were answered as they should.
    pub gets: u64,
    pub posts: u64,
    /// Connections that had to be opened.
    pub connections: u64,
    /// Requests that were not, by what was said instead.
    pub failures: BTreeMap<String, u64>,
    /// Number of requests by latency in ms, from the time each was due.
    took: BTreeMap<u64, u64>,
    /// Between the first request and now, or the last.
    pub span: Duration,
}

impl Tally {
    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.span.as_secs_f64()
    }

    /// Latency at this quantile, in ms.
    pub fn took(&self, share: f64) -> u64 {
        let all: u64 = self.took.values().sum();
        let mut rest = (all as f64 * share).ceil() as u64;
        for (ms, count) in &self.took {
            rest = rest.saturating_sub(*count);
            if rest == 0 {
                return *ms;
            }
        }
        self.took.keys().next_back().copied().unwrap_or_default()
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {:.0}/s: {} GET and {} POST answered, {} failed; p50 {} ms, p99 {} ms, \
             p99.9 {} ms, longest {} ms; {} connections",
            self.sent,
            self.rate(),
            self.gets,
            self.posts,
            self.failed(),
            self.took(0.5),
            self.took(0.99),
            self.took(0.999),
            self.took(1.0),
            self.connections,
        )?;
        for (cause, count) in &self.failures {
            write!(f, "\n  {count} x {cause}")?;
        }
        Ok(())
    }
}

impl Steady {
    /// Sends `rate` requests a second to `targets`, in turn.
    pub fn start(rate: u32, targets: &[Target]) -> Self {
        let over = Arc::<AtomicBool>::default();
        let tally = Arc::<Mutex<Tally>>::default();
        let caller = Arc::new(Caller {
            lanes: targets.iter().map(|it| Lane::to(*it)).collect(),
            tally: tally.clone(),
        });
        let ends = over.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(caller.run(rate, &ends));
        });
        Self {
            over,
            tally,
            thread,
        }
    }

    /// Results so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().expect("nobody panics").clone()
    }

    /// Ends it, waits for the last answers, and says what came of it.
    pub fn stop(self) -> Tally {
        self.over.store(true, Relaxed);
        self.thread.join().expect("the load does not panic");
        self.tally.lock().expect("nobody panics").clone()
    }
}

struct Caller {
    lanes: Vec<Lane>,
    tally: Arc<Mutex<Tally>>,
}

/// The connections to a target.
struct Lane {
    to: Target,
    idle: Mutex<Vec<TcpStream>>,
    shared: tokio::sync::Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Caller {
    async fn run(self: Arc<Self>, rate: u32, over: &AtomicBool) {
        let period = Duration::from_secs(1) / rate;
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut flying = JoinSet::new();
        let mut next = Instant::now();
        let started = next;
        let mut n = 0;
        while !over.load(Relaxed) {
            let now = ticks.tick().await;
            while next <= now {
                assert!(flying.len() < MOST_IN_FLIGHT, "nothing is answered");
                let (caller, due) = (self.clone(), next);
                flying.spawn(async move { caller.call(n, due).await });
                next += period;
                n += 1;
            }
            while flying.try_join_next().is_some() {}
            let mut tally = self.tally();
            tally.sent = n;
            tally.span = started.elapsed();
        }
        flying.join_all().await;
    }

    async fn call(&self, n: u64, due: Instant) {
        let is_post = n.is_multiple_of(POST_EVERY);
        let lanes = self.lanes.len() as u64;
        let lane = &self.lanes[(n / POST_EVERY % lanes) as usize];
        let (method, body) = match is_post {
            true => ("POST", format!("{n}: {BODY}")),
            false => ("GET", String::new()),
        };
        let expected = format!("{method} /{n} {body}");
        let answer = timeout(PATIENCE, lane.exchange(self, method, n, body)).await;
        let failure = match answer {
            Ok(Ok(answer)) if answer == expected => None,
            Ok(Ok(answer)) => Some(format!("answered {answer:.200}")),
            Ok(Err(error)) => Some(error),
            Err(_) => Some(format!("no answer within {PATIENCE:?}")),
        };
        let mut tally = self.tally();
        *tally
            .took
            .entry(due.elapsed().as_millis() as u64)
            .or_default() += 1;
        match failure {
            None if is_post => tally.posts += 1,
            None => tally.gets += 1,
            Some(failure) => {
                let mut cause = format!("{method} {:?} {}: {failure}", lane.to.form, lane.to.addr);
                if tally.failures.len() >= MOST_CAUSES {
                    cause = "others".to_owned();
                }
                *tally.failures.entry(cause).or_default() += 1;
            }
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect("nobody panics")
    }
}

impl Lane {
    fn to(to: Target) -> Self {
        Self {
            to,
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
        }
    }

    /// The body of the answer, or what is wrong with it.
    async fn exchange(
        &self,
        caller: &Caller,
        method: &str,
        n: u64,
        body: String,
    ) -> Result<String, String> {
        match self.to.form {
            Form::Http2 => self.http2(caller, method, n, body).await,
            _ => self.http1(caller, method, n, &body).await,
        }
    }

    async fn connect(&self, caller: &Caller) -> Result<TcpStream, String> {
        caller.tally().connections += 1;
        let socket = TcpStream::connect(self.to.addr)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        socket
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        Ok(socket)
    }

    async fn http1(
        &self,
        caller: &Caller,
        method: &str,
        n: u64,
        body: &str,
    ) -> Result<String, String> {
        let idle = self.idle.lock().expect("nobody panics").pop();
        let mut socket = match idle {
            Some(socket) => socket,
            None => self.connect(caller).await?,
        };
        let origin = match self.to.form {
            Form::Absolute => "http://answer:8080",
            _ => "",
        };
        let request = format!(
            "{method} {origin}/{n} HTTP/1.1\r\nhost: answer:8080\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let broken = |error: std::io::Error| format!("the connection broke: {error}");
        socket.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::with_capacity(512);
        loop {
            if socket.read_buf(&mut answer).await.map_err(broken)? == 0 {
                return Err(format!("the connection ended after {} B", answer.len()));
            }
            let text = std::str::from_utf8(&answer).map_err(|error| error.to_string())?;
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            let length = header("content-length: ").and_then(|length| length.parse().ok());
            let length: usize = length.ok_or_else(|| format!("no length: {head}"))?;
            if body.len() < length {
                continue;
            }
            if header("connection: ") != Some("close") {
                let body = body.to_owned();
                let result = judged(head.starts_with("HTTP/1.1 200 "), head, body);
                self.idle.lock().expect("nobody panics").push(socket);
                return result;
            }
            return judged(head.starts_with("HTTP/1.1 200 "), head, body.to_owned());
        }
    }

    async fn http2(
        &self,
        caller: &Caller,
        method: &str,
        n: u64,
        body: String,
    ) -> Result<String, String> {
        let broken = |error: hyper::Error| format!("the stream broke: {error:?}");
        let mut sender = {
            let mut shared = self.shared.lock().await;
            match &*shared {
                Some(sender) if !sender.is_closed() => sender.clone(),
                _ => {
                    let socket = TokioIo::new(self.connect(caller).await?);
                    let made = http2::handshake(TokioExecutor::new(), socket).await;
                    let (sender, conn) = made.map_err(broken)?;
                    tokio::spawn(conn);
                    shared.insert(sender).clone()
                }
            }
        };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://answer:8080/{n}"))
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        let rsp = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = rsp.into_parts();
        let body = body.collect().await.map_err(broken)?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        judged(head.status == 200, &format!("{head:?}"), body)
    }
}

fn judged(is_success: bool, head: &str, body: String) -> Result<String, String> {
    match is_success {
        true => Ok(body),
        false => Err(format!("{head} {body:.200}")),
    }
}

/// A service of so many replicas, and four ways to it.
pub fn answering(replicas: u64) -> (Mesh, [Target; 4]) {
    let answer = build_example("answer");
    let gateway = free_port();
    let mesh = Mesh::up(&format!(
        r#"
namespace: shop
workloads:
  answer:
    command: exec {}
    port: 8080
    host_port: {gateway}
    replicas: {replicas}
  caller:
    command: echo "$ANSWER $http_proxy" > ports.tmp; mv ports.tmp ports; exec sleep 100000
    upstreams: {{ ANSWER: {{ to: "answer:8080", as: hostport }} }}
    depends_on: [answer]
"#,
        answer.display()
    ));
    wait_for(
        "everything is ready",
        STARTING,
        || mesh.log(),
        |log| log.contains("everything is ready"),
    );
    // It is ready when it runs, which may be before it has written.
    let ports = || fs::read_to_string(mesh.folder().join("ports")).ok();
    let ports = wait_for(
        "the caller wrote its ports",
        STARTING,
        ports,
        Option::is_some,
    );
    let ports = ports.unwrap_or_default();
    let (upstream, proxy) = ports.trim().split_once(' ').expect("two addresses");
    let addr = |text: &str| -> SocketAddr {
        let text = text.trim_start_matches("http://");
        text.parse().expect("an address")
    };
    let gateway = SocketAddr::from(([127, 0, 0, 1], gateway));
    let targets = [
        (gateway, Form::Origin),
        (gateway, Form::Http2),
        (addr(upstream), Form::Origin),
        (addr(proxy), Form::Absolute),
    ];
    (mesh, targets.map(|(addr, form)| Target { addr, form }))
}
