//! A steady load of GETs and POSTs that counts every failure.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Connections to each target.
const CONNECTIONS: usize = 4;
/// Between two requests of a connection.
const PAUSE: Duration = Duration::from_millis(40);
/// No answer takes this long, unless it is lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where to send requests.
#[derive(Clone, Debug)]
pub struct Target {
    /// The port of the proxy.
    pub addr: String,
    /// The absolute target, for a port that is an HTTP proxy's.
    pub url: String,
}

/// Runs until it is stopped.
pub struct Load {
    over: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

/// Results of the requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests.
    pub sent: usize,
    /// Connections that had to be opened.
    pub connections: usize,
    /// Failures: each request whose status was not 200, and its response.
    pub failures: Vec<String>,
}

impl Load {
    /// Calls each of `targets` over some connections, alternating GET and POST.
    pub fn start(targets: &[Target]) -> Self {
        let over = Arc::<AtomicBool>::default();
        let tally = Arc::<Mutex<Tally>>::default();
        let all = targets.iter().flat_map(|it| vec![it.clone(); CONNECTIONS]);
        let threads = all
            .map(|target| {
                let (over, tally) = (over.clone(), tally.clone());
                thread::spawn(move || call(&target, &over, &tally))
            })
            .collect();
        Self {
            over,
            tally,
            threads,
        }
    }

    /// Results so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().expect("nobody panics").clone()
    }

    /// Ends it, and says what came of it.
    pub fn stop(self) -> Tally {
        self.over.store(true, Relaxed);
        for thread in self.threads {
            thread.join().expect("the load does not panic");
        }
        let tally = self.tally.lock().expect("nobody panics").clone();
        assert!(tally.sent > 0, "there was no load");
        tally
    }
}

fn call(target: &Target, over: &AtomicBool, tally: &Mutex<Tally>) {
    let mut connection = None;
    for n in 0.. {
        if over.load(Relaxed) {
            return;
        }
        let (method, body) = if n % 2 == 0 {
            ("GET", "")
        } else {
            ("POST", "hello")
        };
        let request = format!(
            "{method} {} HTTP/1.1\r\nhost: echo:8080\r\ncontent-length: {}\r\n\r\n{body}",
            target.url,
            body.len()
        );
        let opened = connection.is_none();
        let answer = exchange(&mut connection, &target.addr, &request);
        {
            let mut tally = tally.lock().expect("nobody panics");
            tally.sent += 1;
            tally.connections += usize::from(opened);
            match answer {
                Ok(head) if head.starts_with("HTTP/1.1 200 ") => {}
                Ok(head) => tally.failures.push(format!("{method} {target:?}: {head}")),
                Err(error) => tally.failures.push(format!("{method} {target:?}: {error}")),
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Sends `request` and returns the head of the answer; leaves the connection if it stays open.
fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    addr: &str,
    request: &str,
) -> std::io::Result<String> {
    let mut socket = match connection.take() {
        Some(socket) => socket,
        None => {
            let socket = TcpStream::connect(addr)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            BufReader::new(socket)
        }
    };
    socket.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = header("content-length: ").and_then(|value| value.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    socket.read_exact(&mut body)?;
    if header("connection: ") != Some("close") {
        *connection = Some(socket);
    }
    Ok(head)
}
