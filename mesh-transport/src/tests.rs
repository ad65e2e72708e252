use super::*;
use crate::outbox;
use futures_util::FutureExt as _;
use std::{
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::{Context, Poll, Wake, Waker},
};
use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::{coop, yield_now},
};

/// A socket that is written to in turns, its peer, and what was really written.
async fn connected(flusher: &Arc<Flusher>) -> (Io, TcpStream, Arc<Meter>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (peer, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let (socket, _) = accepted.unwrap();
    socket.writable().await.unwrap();
    let meter = Arc::<Meter>::default();
    (
        Io::new(socket, meter.clone()).with_flusher(flusher),
        peer.unwrap(),
        meter,
    )
}

/// Writes until neither the socket nor what is before it takes any more; how much that was.
async fn fill(io: &mut Io) -> usize {
    let mut sum = 0;
    while let Some(written) = io.write(&[7; 1000]).now_or_never() {
        sum += written.unwrap();
        yield_now().await;
    }
    sum
}

#[tokio::test]
async fn small_writes_leave_together_at_the_end_of_the_turn() {
    let (mut io, mut peer, meter) = connected(&Flusher::start()).await;
    for piece in [&b"one "[..], b"two ", b"three"] {
        assert_eq!(
            io.write(piece).now_or_never().unwrap().unwrap(),
            piece.len()
        );
        io.flush().now_or_never().unwrap().unwrap();
    }
    assert_eq!(meter.read().written, 0);
    yield_now().await;
    assert_eq!(meter.read().written, 13);
    let mut bytes = [0; 13];
    peer.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"one two three");
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_writer_and_gets_everything_later() {
    let (mut io, mut peer, meter) = connected(&Flusher::start()).await;
    let taken = fill(&mut io).await;
    let kept = taken - usize::try_from(meter.read().written).unwrap();
    assert!(kept > 0 && kept <= outbox::MOST, "{kept}");
    assert!(io.flush().now_or_never().is_none());
    // Nobody polls the writer from here on.
    let mut bytes = vec![0; taken];
    peer.read_exact(&mut bytes).await.unwrap();
    assert!(bytes.iter().all(|byte| *byte == 7));
    io.flush().await.unwrap();
    assert_eq!(meter.read().written, taken as u64);
}

#[tokio::test]
async fn the_end_comes_after_the_last_byte() {
    let (mut io, mut peer, _) = connected(&Flusher::start()).await;
    let taken = fill(&mut io).await;
    let mut bytes = Vec::new();
    let (shut, read) = tokio::join!(io.shutdown(), peer.read_to_end(&mut bytes));
    shut.unwrap();
    assert_eq!(read.unwrap(), taken);
}

#[tokio::test]
async fn pieces_of_all_sizes_arrive_in_order() {
    let (mut io, mut peer, _) = connected(&Flusher::start()).await;
    let most = outbox::MOST;
    let sizes = [1, most, 3, most + 1, most - 1, 2, 10 * most, 7, 100, most];
    let mut counter = 0_u8;
    let pieces: Vec<Vec<u8>> = sizes
        .iter()
        .cycle()
        .take(50)
        .map(|size| {
            let next = |_| {
                counter = counter.wrapping_mul(5).wrapping_add(1);
                counter
            };
            (0..*size).map(next).collect()
        })
        .collect();
    let sent = pieces.concat();
    let write = async {
        for (n, piece) in pieces.iter().enumerate() {
            io.write_all(piece).await.unwrap();
            if n % 3 == 0 {
                yield_now().await;
            }
        }
        io.shutdown().await.unwrap();
    };
    let mut bytes = Vec::new();
    let (_, read) = tokio::join!(write, peer.read_to_end(&mut bytes));
    read.unwrap();
    assert!(bytes == sent);
}

#[tokio::test]
async fn what_waits_when_a_connection_is_dropped_is_still_sent() {
    let flusher = Flusher::start();
    let (mut io, mut peer, meter) = connected(&flusher).await;
    io.write_all(b"last words").await.unwrap();
    drop(io);
    let mut text = String::new();
    peer.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "last words");
    assert_eq!((meter.read().written, meter.read().closed), (10, 1));
}

#[tokio::test]
async fn what_the_socket_refused_is_told_to_the_writer() {
    let (mut io, peer, _) = connected(&Flusher::start()).await;
    peer.set_zero_linger().unwrap();
    drop(peer);
    let mut told = false;
    for _ in 0..100 {
        told |= io.write(b"to nobody").await.is_err();
        yield_now().await;
    }
    assert!(told);
}

#[tokio::test]
async fn a_reader_is_woken_wherever_its_share_of_the_turn_ends() {
    // A task has 128 units, and reading takes one or two.
    for spent in 120..=130 {
        let (mut io, mut peer, _) = connected(&Flusher::start()).await;
        // A buffer that is filled to the brim leaves a false alarm of readiness.
        peer.write_all(&[1; 8]).await.unwrap();
        io.read_exact(&mut [0; 8]).await.unwrap();
        let mut left = spent;
        let read = tokio::spawn(std::future::poll_fn(move |cx| {
            while left > 0 {
                left -= 1;
                if let Poll::Ready(unit) = coop::poll_proceed(cx) {
                    unit.made_progress();
                }
            }
            let mut bytes = [0; 8];
            Pin::new(&mut io)
                .poll_read(cx, &mut ReadBuf::new(&mut bytes))
                .map(|read| read.unwrap())
        }));
        for _ in 0..10 {
            yield_now().await;
        }
        peer.write_all(b"x").await.unwrap();
        let limit = std::time::Duration::from_secs(10);
        let woken = tokio::time::timeout(limit, read).await;
        woken
            .unwrap_or_else(|_| panic!("not after {spent} units"))
            .unwrap();
    }
}

#[tokio::test]
async fn a_writer_learns_that_its_last_bytes_stay() {
    #[derive(Default)]
    struct Told(AtomicBool);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    let (mut io, _peer, _) = connected(&Flusher::start()).await;
    let told = Arc::<Told>::default();
    let waker = Waker::from(told.clone());
    let mut cx = Context::from_waker(&waker);
    while !told.0.load(Relaxed) {
        assert!(Pin::new(&mut io).poll_write(&mut cx, &[7; 1000]).is_ready());
        assert!(Pin::new(&mut io).poll_flush(&mut cx).is_ready());
        yield_now().await;
    }
    assert!(Pin::new(&mut io).poll_flush(&mut cx).is_pending());
}

#[tokio::test]
async fn readers_that_change_are_woken_one_after_the_other() {
    let (mut io, mut peer, _) = connected(&Flusher::start()).await;
    for byte in 0..3 {
        // Another waker, which is left and not woken.
        assert!(io.read_u8().now_or_never().is_none());
        let read = tokio::spawn(async move { (io.read_u8().await.unwrap(), io) });
        yield_now().await;
        peer.write_all(&[byte]).await.unwrap();
        let (read, whole) = read.await.unwrap();
        assert_eq!(read, byte);
        io = whole;
    }
}

#[tokio::test]
async fn no_task_outlives_the_connections() {
    let flusher = Flusher::start();
    let (mut io, peer, _) = connected(&flusher).await;
    fill(&mut io).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 2);
    drop((io, flusher));
    yield_now().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    drop(peer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_no_wakeup_is_lost() {
    let flusher = Flusher::start();
    let mut pairs = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut io, mut peer, _) = connected(&flusher).await;
        peer.set_nodelay(true).unwrap();
        pairs.spawn(async move {
            let mut bytes = [0; 3];
            while let Ok(n @ 1..) = peer.read(&mut bytes).await {
                peer.write_all(&bytes[..n]).await.unwrap();
            }
        });
        pairs.spawn(async move {
            for _ in 0..1000 {
                io.write_all(b"abcde").await.unwrap();
                io.flush().await.unwrap();
                io.read_exact(&mut [0; 5]).await.unwrap();
            }
        });
    }
    let limit = std::time::Duration::from_secs(60);
    let all = tokio::time::timeout(limit, pairs.join_all()).await;
    assert!(all.is_ok(), "a connection waits for ever");
}
