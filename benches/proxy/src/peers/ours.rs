use super::{Proxy, Wrap, configuration, spawn};
use crate::setup::{World, free_port};
use std::{fmt::Write as _, process::Command};

/// Size of the sidecar's mesh.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) workers: u16,
    /// Routes of the profile, all retryable, all with a timeout.
    pub(crate) routes: usize,
    /// Endpoints; past the three there are, more addresses of them.
    pub(crate) endpoints: usize,
}

impl Default for Ours {
    fn default() -> Self {
        Self {
            workers: 1,
            routes: 20,
            endpoints: 3,
        }
    }
}

/// The sidecar with everything on: routes, stats, timeout, budgeted retries, balancing, idle tap.
pub(crate) fn start(world: &World, ours: &Ours, wrap: &Wrap) -> anyhow::Result<Proxy> {
    let (port, admin) = (free_port()?, free_port()?);
    let name = format!("profile-{}.yaml", ours.routes);
    let profile = configuration(world, &name, &profile(ours.routes)?)?;
    let mut command = Command::new(&world.tools.mesh_proxy);
    command
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--forward", &world.addresses(ours.endpoints).join(",")])
        .args(["--profile", &profile])
        .args(["--workers", &ours.workers.to_string()])
        .args(["--admin", &format!("127.0.0.1:{admin}")])
        .envs(wrap.iter().cloned());
    Ok(Proxy {
        running: spawn(&mut command, port)?,
        http1: port,
        http2: port,
        opaque: Some(port),
    })
}

/// The sidecar as an `http_proxy`: each request names its destination, which has one endpoint and no
/// routes.
pub(crate) fn outbound(world: &World) -> anyhow::Result<Proxy> {
    let (port, admin) = (free_port()?, free_port()?);
    let mut command = Command::new(&world.tools.mesh_proxy);
    command
        .args(["--outbound", &format!("127.0.0.1:{port}")])
        .args(["--workers", "1"])
        .args(["--admin", &format!("127.0.0.1:{admin}")]);
    Ok(Proxy {
        running: spawn(&mut command, port)?,
        http1: port,
        http2: port,
        opaque: None,
    })
}

/// A profile in which the route that the load asks for comes late.
fn profile(routes: usize) -> anyhow::Result<String> {
    let mut text = String::from(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
         name: bench.default.svc.cluster.local\n  namespace: default\nspec:\n  routes:\n",
    );
    let mut route = |method: &str, path: &str| {
        write!(
            text,
            "  - name: {method} {path}\n    condition:\n      method: {method}\n      \
             pathRegex: {path}\n    isRetryable: true\n    timeout: 10s\n"
        )
    };
    for n in 0..routes.saturating_sub(4) {
        route("GET", &format!("/things/{n}/[^/]*/parts"))?;
    }
    route("GET", r"/books/[^/]*\.json")?;
    route("GET", "/large")?;
    route("POST", r"/bench\.Echo/Unary")?;
    route("GET", "/authors/[^/]*")?;
    Ok(text)
}
