//! The gateway: the sidecar that serves the host ports, so that `curl` on this machine passes through
//! the mesh too.

use super::{
    keep::Kept,
    plan, ports, replica,
    supervisor::{LAST, Supervisor},
};
use anyhow::Result;
use std::collections::BTreeMap;

/// The running gateway; there is none while no service has a host port.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) kept: Kept,
    admin: u16,
    /// Authority of the service behind each port.
    pub(super) services: BTreeMap<u16, String>,
}

impl Supervisor {
    /// Restarts the gateway with `services`. Returns false, and changes nothing, if it serves these
    /// already.
    pub(super) async fn serve_host_ports(
        &mut self,
        services: BTreeMap<u16, String>,
    ) -> Result<bool> {
        let current = self.gateway.as_ref().map(|it| &it.services);
        if current.unwrap_or(&BTreeMap::new()) == &services {
            return Ok(false);
        }
        if let Some(old) = self.gateway.take() {
            self.ports
                .release(old.services.keys().copied().chain([old.admin]));
            old.kept.stop(LAST).await;
            self.context.board.set_gateway(None);
        }
        self.ports.reserve_all(services.keys().copied());
        let admin = self.ports.next()?;
        if let Some(spec) = plan::gateway(&self.settings, admin, &services, ports::has_v6()) {
            let kept = {
                let probe = plan::ready(plan::loopback(admin));
                replica::sidecar("gateway", &spec, probe, &self.context)
            };
            self.context.board.set_gateway(Some(admin));
            self.gateway = Some(Gateway {
                kept,
                admin,
                services,
            });
        }
        Ok(true)
    }

    /// Returns one line, `NAME: URL`, for each service that has a host port, and for the dashboard.
    pub(crate) fn urls(&self) -> Vec<String> {
        let services = self.gateway.iter().flat_map(|it| &it.services);
        let services = services.map(|(port, service)| {
            let name = service.split('.').next().unwrap_or(service);
            format!("{name}: http://127.0.0.1:{port}/")
        });
        let dashboard = format!("dashboard: http://{}/", self.dashboard);
        services.chain([dashboard]).collect()
    }
}
