//! Talks to the running mesh: HTTP over the sockets of its state folder, or over TCP.

mod exchange;
mod lines;
mod questions;
pub(crate) mod supervisor;
mod transport;

pub(crate) use self::lines::Lines;
#[cfg(feature = "local")]
pub(crate) use self::transport::STATE_DIR;
pub(crate) use self::transport::connect_unix;

use self::{
    exchange::{exchange, parse, read, reason, target},
    transport::{
        CONTROLLER_SOCKET, SUPERVISOR_SOCKET, Transport, nearest, transport_of, unreachable,
        unreachable_tcp,
    },
};
use crate::args::Global;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use mesh_api::Question;
use serde::de::DeserializeOwned;
#[cfg(feature = "local")]
use std::path::PathBuf;
use std::{net::SocketAddr, path::Path};
use tokio::net::TcpStream;

/// A client of one mesh. Every request is a connection of its own: a command makes few.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    transport: Transport,
}

/// An answer that says no.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// The controller of the mesh that `--api`, `MESH_API` or the nearest `.mesh` upward names.
    pub(crate) fn find(global: &Global) -> Result<Self> {
        Self::resolve(global, CONTROLLER_SOCKET)
    }

    /// The supervisor (`mesh up`) of that mesh.
    pub(crate) fn supervisor(global: &Global) -> Result<Self> {
        let found = Self::resolve(global, SUPERVISOR_SOCKET)?;
        if let Transport::Tcp(addr) = &found.transport {
            bail!("{addr} is read-only: give --api the state folder (.mesh) of the mesh instead");
        }
        Ok(found)
    }

    /// The supervisor of the mesh whose state is in `state_dir`.
    #[cfg(feature = "local")]
    pub(crate) fn supervisor_in(state_dir: &Path) -> Self {
        Self::unix(state_dir.join(SUPERVISOR_SOCKET))
    }

    /// The controller of the mesh whose state is in `state_dir`.
    #[cfg(feature = "local")]
    pub(crate) fn controller_in(state_dir: &Path) -> Self {
        Self::unix(state_dir.join(CONTROLLER_SOCKET))
    }

    /// Creates a client of the server on `addr`, such as a sidecar's admin port.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        Self {
            transport: Transport::Tcp(addr.to_string()),
        }
    }

    #[cfg(feature = "local")]
    fn unix(path: PathBuf) -> Self {
        Self {
            transport: Transport::Unix(path),
        }
    }

    fn resolve(global: &Global, socket: &str) -> Result<Self> {
        let transport = match &global.api {
            Some(api) => transport_of(api, socket),
            None => Transport::Unix(nearest(&std::env::current_dir()?)?.join(socket)),
        };
        Ok(Self { transport })
    }

    /// The state folder, when the mesh is reached through one.
    pub(crate) fn state_dir(&self) -> Option<&Path> {
        match &self.transport {
            Transport::Unix(path) => path.parent(),
            Transport::Tcp(_) => None,
        }
    }

    /// The namespace that a command works in: the flag's, else the running mesh's.
    pub(crate) async fn namespace(&self, global: &Global) -> Result<String> {
        if let Some(namespace) = &global.namespace {
            return Ok(namespace.clone());
        }
        Ok(self.version().await?.namespace)
    }

    /// Reads `path` as text.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String> {
        let body = self.call(Method::GET, path, None).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads `path` as JSON.
    async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.call(Method::GET, path, None).await?;
        parse(path, &body)
    }

    /// Asks a question and reads the answer.
    async fn ask<Q: Question, T: DeserializeOwned>(&self, question: &Q) -> Result<T> {
        let body = self.call(Method::GET, &target(question)?, None).await?;
        parse(Q::PATH, &body)
    }

    /// Asks a question whose answer is lines that keep coming.
    async fn ask_lines<Q: Question>(&self, question: &Q) -> Result<Lines> {
        let response = self.send(Method::GET, &target(question)?, None).await?;
        Ok(Lines::of(response))
    }

    /// Sends `body`, text of `content_type`, and reads the answer as JSON.
    async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<T> {
        let body = Some((content_type, body.into()));
        let answer = self.call(Method::PUT, path, body).await?;
        parse(path, &answer)
    }

    /// Asks for something to be done, and reads the answer as JSON.
    async fn post<T: DeserializeOwned>(&self, path: &str, body: impl Into<Bytes>) -> Result<T> {
        let body = Some(("application/json", body.into()));
        let answer = self.call(Method::POST, path, body).await?;
        parse(path, &answer)
    }

    /// Asks for a change of what is at `path`, and reads the answer as JSON.
    async fn patch<T: DeserializeOwned>(&self, path: &str, body: impl Into<Bytes>) -> Result<T> {
        let body = Some(("application/json", body.into()));
        let answer = self.call(Method::PATCH, path, body).await?;
        parse(path, &answer)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, None).await?;
        Ok(())
    }

    /// Asks for something that lasts as long as the answer does, and reads that as lines.
    #[cfg(feature = "local")]
    async fn post_lines(&self, path: &str, body: impl Into<Bytes>) -> Result<Lines> {
        let body = Some(("application/json", body.into()));
        let response = self.send(Method::POST, path, body).await?;
        Ok(Lines::of(response))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Bytes> {
        let response = self.send(method, path, body).await?;
        read(response).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.host());
        let body = body.map(|(content_type, body)| {
            request
                .headers_mut()
                .expect("the parts above are valid")
                .insert(
                    header::CONTENT_TYPE,
                    content_type.parse().expect("a constant"),
                );
            body
        });
        let request = request.body(Full::new(body.unwrap_or_default()))?;
        let response = match &self.transport {
            Transport::Unix(path) => {
                let stream = connect_unix(path).await;
                exchange(stream.map_err(|error| unreachable(path, error))?, request).await
            }
            Transport::Tcp(addr) => {
                let stream = TcpStream::connect(addr).await;
                exchange(stream.with_context(|| unreachable_tcp(addr))?, request).await
            }
        };
        let response = response.with_context(|| {
            format!("the mesh at {self} closed the connection without a response")
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read(response).await?;
        Err(Refused(reason(status, &body)).into())
    }

    fn host(&self) -> &str {
        match &self.transport {
            Transport::Unix(_) => "localhost",
            Transport::Tcp(addr) => addr,
        }
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.transport {
            Transport::Unix(path) => path.display().fmt(f),
            Transport::Tcp(addr) => addr.fmt(f),
        }
    }
}
