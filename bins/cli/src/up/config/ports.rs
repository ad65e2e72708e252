//! `ports`: the further ports of a workload's service.

use super::check::Checker;
use crate::up::document::{HostPortDocument, PortDocument, WorkloadDocument};
use anyhow::Result;
use serde_saphyr::Spanned;
use std::collections::BTreeSet;

/// Most ports of one workload.
const MAX_PORTS: usize = 16;

/// A port of a workload's service beside `port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServicePort {
    /// Its name, by default the number.
    pub(crate) name: String,
    /// The port that clients call.
    pub(crate) port: u16,
    /// Port that the program listens on, if it cannot be told one.
    pub(crate) listen: Option<u16>,
    /// Port on the host.
    pub(crate) host_port: Option<u16>,
    /// True if its connections are carried as bytes.
    pub(crate) opaque: bool,
}

/// Returns the environment variable that tells a program where to listen for the port `name`.
pub(crate) fn variable(name: &str) -> String {
    format!("PORT_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Makes the first of `ports` the main port of a workload that names none. Returns its name.
pub(super) fn promote(workload: &mut WorkloadDocument) -> Option<String> {
    let has_main = workload.port.is_some()
        || workload.listen.is_some()
        || workload.host_port.is_some()
        || workload.opaque;
    if has_main || workload.ports.is_empty() {
        return None;
    }
    let first = workload.ports.remove(0).value;
    workload.port = Some(first.port);
    workload.listen = first.listen;
    workload.host_port = first.host_port;
    workload.opaque = first.opaque;
    first.name.map(|name| name.value)
}

impl Checker<'_> {
    /// Checks the further ports of the workload `name`, whose main port is called `main`.
    pub(super) fn further_ports(
        &self,
        name: &str,
        main: Option<&str>,
        written: &WorkloadDocument,
    ) -> Result<Vec<ServicePort>> {
        let mut ports = Vec::new();
        let main_port = written.port.as_ref().map(|port| port.value);
        let mut taken: BTreeSet<u16> = main_port.into_iter().collect();
        let mut names: BTreeSet<String> = main.map(str::to_owned).into_iter().collect();
        for entry in &written.ports {
            let at = entry.referenced;
            if main_port.is_none() {
                let what =
                    format_args!("workload `{name}`: `ports` beside these keys needs a `port`");
                return Err(self.no(at, what));
            }
            if ports.len() + 1 >= MAX_PORTS {
                let what = format_args!("workload `{name}`: at most {MAX_PORTS} ports");
                return Err(self.no(at, what));
            }
            let port = self.service_port(entry)?;
            if !taken.insert(port.port) {
                let at = entry.value.port.referenced;
                let what = format_args!("workload `{name}`: `port` {} is there already", port.port);
                return Err(self.no(at, what));
            }
            if !names.insert(port.name.clone()) {
                let at = entry.value.name.as_ref().map_or(at, |it| it.referenced);
                let what =
                    format_args!("workload `{name}`: two ports have the name `{}`", port.name);
                return Err(self.no(at, what));
            }
            ports.push(port);
        }
        for variable in names.iter().map(|name| variable(name)) {
            if let Some(env) = written.env.get(&variable) {
                let what = format_args!(
                    "workload `{name}`: {variable} is given by the mesh; a program that cannot \
                     take it says where it listens with `listen`"
                );
                return Err(self.no(env.referenced, what));
            }
        }
        Ok(ports)
    }

    fn service_port(&self, entry: &Spanned<PortDocument>) -> Result<ServicePort> {
        let written = &entry.value;
        if let Some(name) = &written.name {
            self.check_name("port name", &name.value, name.referenced)?;
        }
        let name = written.name.as_ref().map(|name| name.value.clone());
        Ok(ServicePort {
            name: name.unwrap_or_else(|| written.port.value.to_string()),
            port: written.port.value,
            listen: written.listen.as_ref().map(|listen| listen.value),
            host_port: written.host_port.as_ref().and_then(|it| match it.value {
                HostPortDocument::Port(port) => Some(port),
                HostPortDocument::None => None,
            }),
            opaque: written.opaque,
        })
    }
}
