//! An endpoint that closes unused connections without announcing it costs no request once it is known.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use mesh_pool::{Fault, Pool, Protocol, Settings, Target};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

/// Milliseconds after which the server closes an unused connection at first.
const CLOSES: u64 = 200;

/// Serves POSTs with a body of one byte, and closes what is unused for `closes` milliseconds.
async fn endpoint(closes: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, closes.clone()));
        }
    });
    addr
}

async fn serve(mut socket: TcpStream, closes: Arc<AtomicU64>) -> std::io::Result<()> {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\nx") {
            let unused = Duration::from_millis(closes.load(SeqCst));
            match timeout(unused, socket.read_buf(&mut request)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return Ok(()),
            }
        }
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(ok).await?;
    }
}

struct Caller {
    pool: Pool<Full<Bytes>>,
    settings: Arc<Settings>,
    posts: u64,
}

impl Caller {
    /// Posts after about `pause` milliseconds: `false` if nobody knows whether it was processed.
    async fn post(&mut self, pause: u64) -> bool {
        self.posts += 1;
        sleep(Duration::from_millis(pause - 5 + self.posts * 7 % 11)).await;
        let req = Request::post("http://a.example/").body(Full::from("x"));
        match self.pool.clone().oneshot(req.unwrap()).await {
            Ok(rsp) => {
                rsp.into_body().collect().await.unwrap();
                true
            }
            Err(error) => {
                assert_eq!(Fault::of(&*error), Some(Fault::MaybeProcessed), "{error}");
                false
            }
        }
    }

    fn opened(&self) -> u64 {
        self.settings.connector.meter.read().opened
    }
}

#[tokio::test]
async fn posts_that_are_spaced_like_the_closes_of_their_endpoint_succeed_once_these_are_known() {
    let closes = Arc::new(AtomicU64::new(CLOSES));
    let addr = endpoint(closes.clone()).await;
    let mut settings = Settings::default();
    settings.idle = Duration::from_millis(600);
    let settings = Arc::new(settings);
    let mut caller = Caller {
        pool: Pool::new(Target::plain(addr, Protocol::Http1), settings.clone()),
        settings,
        posts: 0,
    };

    let mut crossed = 0;
    for _ in 0..20 {
        crossed += usize::from(!caller.post(CLOSES).await);
    }
    assert!(crossed <= 1, "{crossed} requests crossed a close");

    // Below the limit, connections are used again.
    let before = caller.opened();
    for _ in 0..20 {
        assert!(caller.post(CLOSES / 4).await);
    }
    let opened = caller.opened() - before;
    assert!(opened < 20, "{opened} connections for 20 requests");

    // So they are beyond it once the endpoint keeps them longer.
    closes.store(60_000, SeqCst);
    for n in 0.. {
        let before = caller.opened();
        assert!(caller.post(CLOSES).await);
        if caller.opened() == before {
            break;
        }
        assert!(n < 100, "each request needs a connection of its own");
    }
}
