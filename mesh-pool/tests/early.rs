//! Endpoints that answer before they have read the request, and close.

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use mesh_pool::{Pool, Protocol, Settings, Target};
use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tower::ServiceExt as _;

/// A request body in whose middle the endpoint answers and resets the connection.
struct Interrupted {
    polls: u32,
    go: Sender<()>,
    gone: Receiver<()>,
}

impl Body for Interrupted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polls += 1;
        match self.polls {
            1 => {
                // The head leaves.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            2 => {
                // The pool has just found nothing to read, and is about to write.
                self.go.send(()).unwrap();
                self.gone.recv().unwrap();
            }
            60.. => return Poll::Ready(None),
            _ => {}
        }
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; 16_000].into()))))
    }
}

/// Answers with the rest of the request unread, which resets the connection.
fn endpoint(go: Receiver<()>, gone: Sender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_exact(&mut [0]).unwrap();
        go.recv().unwrap();
        let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
        socket.write_all(answer).unwrap();
        drop(socket);
        gone.send(()).unwrap();
    });
    addr
}

#[tokio::test]
async fn a_write_that_fails_does_not_hide_the_answer() {
    for n in 0..100 {
        let (go, goes) = channel();
        let (went, gone) = channel();
        let target = Target::plain(endpoint(goes, went), Protocol::Http1);
        let polls = 0;
        let req = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_11)
            .uri("http://a.example/")
            .body(Interrupted { polls, go, gone })
            .unwrap();
        let pool = Pool::new(target, Arc::new(Settings::default()));
        let rsp = match pool.oneshot(req).await {
            Ok(rsp) => rsp,
            Err(error) => panic!("{n}: {error}"),
        };
        assert_eq!(rsp.status(), 413);
        assert_eq!(rsp.into_body().collect().await.unwrap().to_bytes(), "no");
    }
}

#[tokio::test]
async fn a_connection_with_an_early_answer_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        // The second answer comes on a second connection.
        let mut open = Vec::new();
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().unwrap();
            socket.read_exact(&mut [0]).unwrap();
            let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
            socket.write_all(answer).unwrap();
            open.push(socket);
        }
    });
    let settings = Arc::new(Settings::default());
    let pool = Pool::new(Target::plain(addr, Protocol::Http1), settings.clone());
    for _ in 0..2 {
        let (send, body) = tokio::sync::mpsc::channel::<Bytes>(1);
        let frames = futures_util::stream::unfold(body, |mut body| async move {
            let data = body.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(data)), body))
        });
        let req = Request::post("http://a.example/")
            .body(StreamBody::new(Box::pin(frames)))
            .unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), pool.clone().oneshot(req));
        let rsp = answer
            .await
            .expect("went over the first connection")
            .unwrap();
        assert_eq!(rsp.status(), 413);
        assert_eq!(rsp.into_body().collect().await.unwrap().to_bytes(), "no");
        drop(send);
    }
    assert_eq!(settings.connector.meter.read().opened, 2);
}
