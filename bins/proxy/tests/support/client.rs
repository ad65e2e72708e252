use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// One connection to the proxy.
pub enum Client {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub async fn http1(addr: SocketAddr) -> Self {
        let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let (sender, conn) = http1::handshake(io).await.unwrap();
        tokio::spawn(conn);
        Self::Http1(sender)
    }

    pub async fn http2(addr: SocketAddr) -> Self {
        let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let (sender, conn) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(conn);
        Self::Http2(sender)
    }

    pub async fn send(&mut self, req: Request<Full<Bytes>>) -> hyper::Result<Reply> {
        let rsp = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(req).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(req).await?
            }
        };
        let (parts, body) = rsp.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        Ok(Reply {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            body: body.to_bytes(),
            trailers,
        })
    }

    /// `GET path` of `host`.
    pub async fn get(&mut self, host: &str, path: &str) -> hyper::Result<Reply> {
        self.send(self.request("GET", host, path, "")).await
    }

    /// A request as this connection's protocol has it.
    pub fn request(
        &self,
        method: &str,
        host: &str,
        path: &str,
        body: &str,
    ) -> Request<Full<Bytes>> {
        let body = Full::new(Bytes::from(body.to_owned()));
        let builder = Request::builder().method(method);
        let builder = match self {
            Self::Http1(_) => builder.uri(path).header("host", host),
            Self::Http2(_) => builder
                .uri(format!("http://{host}{path}"))
                .version(Version::HTTP_2),
        };
        builder.body(body).unwrap()
    }
}

/// One GET over a connection of its own.
pub async fn get(addr: SocketAddr, path: &str) -> Reply {
    let mut client = Client::http1(addr).await;
    client.get(&addr.to_string(), path).await.unwrap()
}
