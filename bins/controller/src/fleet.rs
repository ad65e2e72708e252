//! The supervisor of `mesh up`, as the fleet of the control plane.

use crate::StateDir;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use mesh_control::{
    model::{WorkloadKind, WorkloadName},
    source::{BoxError, BoxFuture, Fleet},
};
use mesh_local::SocketPath;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::UnixStream;

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// Changes what `mesh up` runs, over its socket in the state folder.
#[derive(Clone, Debug)]
pub struct Supervisor {
    socket: PathBuf,
}

impl Supervisor {
    /// The supervisor of the mesh whose state is in `state`. It need not run yet.
    pub fn new(state: &StateDir) -> Self {
        Self {
            socket: state.supervisor_socket(),
        }
    }

    async fn ask(&self, path: &str, body: serde_json::Value) -> Result<()> {
        let stream = connect(&self.socket).await.with_context(|| {
            let socket = self.socket.display();
            format!("no `mesh up` runs the workloads of this mesh: cannot connect to {socket}")
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        match serde_json::from_slice::<mesh_api::ErrorBody>(&body) {
            Ok(answer) => bail!(answer.error),
            Err(_) => bail!("the supervisor answered {status}"),
        }
    }
}

impl Fleet for Supervisor {
    fn scale(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        replicas: u32,
    ) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let name = deployment(&workload)?;
            let body = json!({"namespace": *namespace, "name": name, "replicas": replicas});
            Ok(self.ask("/v1/scale", body).await?)
        })
    }

    fn set_revision(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        revision: Arc<str>,
    ) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let name = deployment(&workload)?;
            let body = json!({"namespace": *namespace, "name": name, "revision": *revision});
            Ok(self.ask("/v1/revision", body).await?)
        })
    }

    fn set_env(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        env: BTreeMap<String, Option<String>>,
    ) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let name = deployment(&workload)?;
            let body = json!({"namespace": *namespace, "name": name, "env": env});
            Ok(self.ask("/v1/env", body).await?)
        })
    }

    fn set_primary(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        template: Option<Arc<str>>,
    ) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let name = deployment(&workload)?;
            let body =
                json!({"namespace": *namespace, "name": name, "template": template.as_deref()});
            Ok(self.ask("/v1/primary", body).await?)
        })
    }
}

/// The name of a workload that `mesh up` may run: it has deployments only.
fn deployment(workload: &WorkloadName) -> Result<&str> {
    match workload.kind {
        WorkloadKind::Deployment => Ok(&workload.name),
        _ => bail!("`mesh up` runs deployments, and {workload} is none"),
    }
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(SocketPath::open(path)?).await
}
