use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

pub type Body = BoxBody<Bytes, Infallible>;

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub version: http::Version,
    pub method: http::Method,
    pub uri: http::Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A server that answers as a test says, over HTTP/1 or HTTP/2, and remembers what it saw.
pub struct Upstream {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    cut: Arc<Notify>,
    tasks: Option<tokio::task::AbortHandle>,
}

impl Upstream {
    /// `script` is given each request and its number, from 0.
    pub async fn start<F, R>(script: F) -> Self
    where
        F: Fn(Seen, usize) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind(super::any()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let connections = Arc::<AtomicUsize>::default();
        let (script, log, count) = (Arc::new(script), seen.clone(), connections.clone());
        let cut = Arc::new(Notify::new());
        let cutting = cut.clone();
        let accepting = tokio::spawn(async move {
            // Dropped with the task, so that its connections end with it.
            let mut serving = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = cutting.notified() => {
                        serving.abort_all();
                        continue;
                    }
                };
                let (socket, _) = accepted.unwrap();
                count.fetch_add(1, SeqCst);
                let (script, log) = (script.clone(), log.clone());
                let service = service_fn(move |req| {
                    let (script, log) = (script.clone(), log.clone());
                    async move {
                        let seen = read(req).await;
                        let number = {
                            let mut log = log.lock().unwrap();
                            log.push(seen.clone());
                            log.len() - 1
                        };
                        Ok::<_, Infallible>(script(seen, number).await)
                    }
                });
                serving.spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self {
            addr,
            seen,
            connections,
            cut,
            tasks: Some(accepting.abort_handle()),
        }
    }

    /// Answers every request with `status`, its number in the body.
    pub async fn answering(status: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        Self::start(move |_, number| {
            let status = status(number);
            async move { answer(status, number.to_string()) }
        })
        .await
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.cut.notify_one();
    }

    /// Closes the listener and every connection.
    pub fn stop(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.abort();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn read(req: Request<Incoming>) -> Seen {
    let (parts, body) = req.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    Seen {
        version: parts.version,
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: body.unwrap_or_default(),
    }
}

/// A response whose body has a known length.
pub fn answer(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let body = http_body_util::Full::new(text.into()).boxed();
    Response::builder().status(status).body(body).unwrap()
}

/// A gRPC response: one frame of data, then the status.
pub fn grpc(status: &'static str) -> Response<Body> {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static(status),
    )]);
    let frames = [
        Frame::data(Bytes::from_static(b"\0\0\0\0\x01x")),
        Frame::trailers(trailers),
    ];
    streamed("application/grpc", frames)
}

/// 200 with a body of these frames.
pub fn streamed(
    content_type: &'static str,
    frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + Sync + 'static>,
) -> Response<Body> {
    let frames = tokio_stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
    Response::builder()
        .header("content-type", content_type)
        .body(StreamBody::new(frames).boxed())
        .unwrap()
}

/// The same, and the body does not end.
pub fn unending(
    content_type: &'static str,
    frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + Sync + 'static>,
) -> Response<Body> {
    let frames = tokio_stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
    let frames = tokio_stream::StreamExt::chain(frames, tokio_stream::pending());
    Response::builder()
        .header("content-type", content_type)
        .body(StreamBody::new(frames).boxed())
        .unwrap()
}
