//! The service behind the proxies. It answers 1 KB, 1 MB or a gRPC message over HTTP/1 or HTTP/2,
//! and sends a stream of bytes to other protocols.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, net::Ipv4Addr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The first byte of a connection that wants [`STREAM`] bytes.
pub(crate) const RAW: u8 = 0x07;

/// Length of that stream in bytes.
pub(crate) const STREAM: usize = 256 << 20;

pub(crate) fn run(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(serve(socket));
        }
    })
}

async fn serve(mut socket: TcpStream) {
    let mut first = [0];
    if socket.peek(&mut first).await.is_err() {
        return;
    }
    // An HTTP/2 connection begins with PRI, which is no method.
    let _ = match first[0] {
        RAW => stream(&mut socket).await,
        b'P' if is_http2(&socket).await => http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(1_000)
            .serve_connection(TokioIo::new(socket), service_fn(answer))
            .await
            .map_err(std::io::Error::other),
        _ => http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service_fn(answer))
            .await
            .map_err(std::io::Error::other),
    };
}

async fn is_http2(socket: &TcpStream) -> bool {
    let mut first = [0; 3];
    matches!(socket.peek(&mut first).await, Ok(3)) && first == *b"PRI"
}

async fn stream(socket: &mut TcpStream) -> std::io::Result<()> {
    // A socket that is closed with something unread resets the connection.
    socket.read_u8().await?;
    let block = vec![b'x'; 64 << 10];
    for _ in 0..STREAM / block.len() {
        socket.write_all(&block).await?;
    }
    socket.shutdown().await
}

async fn answer(
    req: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    static LARGE: [u8; 1 << 20] = [b'x'; 1 << 20];
    let is_grpc = req.headers().contains_key("te");
    let is_large = req.uri().path() == "/large";
    let _ = req.into_body().collect().await;
    let mut rsp = if is_grpc {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let message = Frame::data(Bytes::from_static(&MESSAGE));
        let frames = [message, Frame::trailers(trailers)].map(Ok);
        Response::new(StreamBody::new(futures(frames)).boxed())
    } else if is_large {
        Response::new(Full::from(&LARGE[..]).boxed())
    } else {
        Response::new(Full::from(&LARGE[..1024]).boxed())
    };
    let kind = if is_grpc {
        "application/grpc"
    } else {
        "text/plain"
    };
    rsp.headers_mut()
        .insert("content-type", HeaderValue::from_static(kind));
    Ok(rsp)
}

/// A gRPC message of 1,019 bytes and its prefix.
pub(crate) static MESSAGE: [u8; 1024] = {
    let mut message = [b'x'; 1024];
    message[0] = 0;
    message[1] = 0;
    message[2] = 0;
    message[3] = 3;
    message[4] = 251;
    message
};

fn futures<T, const N: usize>(items: [T; N]) -> impl futures_core::Stream<Item = T> {
    let mut items = items.into_iter();
    futures_util::stream::poll_fn(move |_| std::task::Poll::Ready(items.next()))
}
