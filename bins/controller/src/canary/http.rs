//! HTTP requests of the controller itself: webhooks, and queries of Prometheus.

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use mesh_control::{index::Index, model::ServiceName};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Sends requests over plain HTTP, each on a connection of its own, without following redirects.
///
/// Names of services are those of the mesh, as programs in it would call them; other names are
/// resolved as on this machine.
#[derive(Clone, Debug)]
pub(super) struct HttpClient {
    index: Index,
}

/// A response, with as much of its body as was asked for.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// True if the body was longer.
    pub(super) is_cut: bool,
}

impl HttpClient {
    pub(super) fn new(index: Index) -> Self {
        Self { index }
    }

    /// Sends `request`, whose names are of services in `namespace` first, and reads up to `max_body`
    /// bytes of the response. Everything together takes at most `limit`.
    ///
    /// # Errors
    ///
    /// If the address is not of plain HTTP, has no endpoint, or gives no whole response in time.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        namespace: &str,
        limit: Duration,
        max_body: usize,
    ) -> Result<Response> {
        match timeout(limit, self.exchange(request, namespace, max_body)).await {
            Ok(response) => response,
            Err(_) => bail!("no response within {limit:?}"),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        namespace: &str,
        max_body: usize,
    ) -> Result<Response> {
        let uri = request.uri().clone();
        let authority = authority(&uri)?;
        let stream = self.connect(&authority, namespace).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the response, or when this future is dropped and closes the sender.
        let connection = tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse()?;
        request
            .headers_mut()
            .insert(header::HOST, authority.parse()?);
        let response = sender.send_request(request.map(Full::new)).await;
        let response = read(response?, max_body).await;
        connection.abort();
        response
    }

    async fn connect(&self, authority: &str, namespace: &str) -> Result<TcpStream> {
        let mut last = None;
        for addr in self.resolve(authority, namespace).await? {
            match TcpStream::connect(addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some((addr, error)),
            }
        }
        match last {
            Some((addr, error)) => Err(error).context(format!("cannot connect to {addr}")),
            None => bail!("{authority} has no endpoint that is ready"),
        }
    }

    async fn resolve(&self, authority: &str, namespace: &str) -> Result<Vec<SocketAddr>> {
        let (host, _) = authority.rsplit_once(':').unwrap_or((authority, ""));
        let name = ServiceName::parse(host, namespace, self.index.domain());
        if name.is_some_and(|name| self.index.has_service(&name)) {
            let endpoints = self.index.endpoints(authority, namespace);
            return Ok(endpoints.list.iter().map(|it| it.addr).collect());
        }
        let found = lookup_host(authority).await;
        let found = found.with_context(|| format!("cannot resolve {host}"))?;
        Ok(found.collect())
    }
}

/// Returns `host:port` of an address of plain HTTP.
fn authority(uri: &Uri) -> Result<String> {
    if uri.scheme() != Some(&Scheme::HTTP) {
        bail!("{uri} is not an address of plain HTTP: it must begin with http://");
    }
    let host = uri.host().context("the address has no host")?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80)))
}

async fn read(response: http::Response<Incoming>, max_body: usize) -> Result<Response> {
    let (head, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    let mut is_cut = false;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.context("the response broke off")?.into_data() else {
            continue;
        };
        let room = max_body - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            is_cut = true;
            break;
        }
    }
    Ok(Response {
        status: head.status,
        body: bytes.freeze(),
        is_cut,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_with_a_host_is_called() {
        for (uri, expected) in [
            ("http://gate.test/check", Some("gate.test:80")),
            ("http://127.0.0.1:9090", Some("127.0.0.1:9090")),
            ("http://[::1]:90/", Some("[::1]:90")),
            ("https://gate.test/", None),
            ("/gate", None),
            ("gate:80", None),
        ] {
            let found = authority(&uri.parse().unwrap());
            assert_eq!(found.ok().as_deref(), expected, "{uri}");
        }
    }
}
