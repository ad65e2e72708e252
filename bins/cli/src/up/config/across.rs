//! Conflicts between workloads: duplicate names, duplicate ports, dependency cycles.

use super::check::Checker;
use crate::output::did_you_mean;
use crate::up::{
    document::{HostPortDocument, WorkloadDocument},
    order,
};
use anyhow::Result;
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeMap;

impl Checker<'_> {
    /// Names of services that are no host names, and those that two workloads have.
    pub(super) fn check_services(
        &self,
        workloads: &BTreeMap<String, Spanned<WorkloadDocument>>,
    ) -> Result<()> {
        let serve = workloads.iter().filter(|(_, it)| it.value.port.is_some());
        // A workload's own name is its service's without a word about it, so these come first.
        let (named, unnamed): (Vec<_>, Vec<_>) =
            serve.partition(|(_, it)| it.value.service.is_some());
        let mut taken: BTreeMap<&str, &str> = unnamed
            .into_iter()
            .map(|(name, _)| (name.as_str(), name.as_str()))
            .collect();
        for (name, workload) in named {
            let Some(service) = &workload.value.service else {
                continue;
            };
            self.check_name("service", &service.value, service.referenced)?;
            if let Some(other) = taken.insert(&service.value, name) {
                return Err(self.no(
                    service.referenced,
                    format_args!(
                        "`service` of workload `{name}` is `{}`, which is already that of workload \
                         `{other}`",
                        service.value
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Zero ports, and ports that two workloads ask for.
    pub(super) fn check_ports(
        &self,
        workloads: &BTreeMap<String, Spanned<WorkloadDocument>>,
    ) -> Result<()> {
        let mut asked: BTreeMap<u16, String> = BTreeMap::new();
        for (name, workload) in workloads {
            let workload = &workload.value;
            let mut asks = vec![
                ("port", workload.port.as_ref()),
                ("listen", workload.listen.as_ref()),
            ];
            let mut host_ports = vec![workload.host_port.as_ref()];
            for further in &workload.ports {
                let further = &further.value;
                asks.push(("port", Some(&further.port)));
                asks.push(("listen", further.listen.as_ref()));
                host_ports.push(further.host_port.as_ref());
            }
            for (key, port) in &asks {
                if let Some(port) = port.filter(|port| port.value == 0) {
                    return Err(self.no(
                        port.referenced,
                        format_args!("workload `{name}`: `{key}` is between 1 and 65535"),
                    ));
                }
            }
            let host_ports = host_ports.into_iter().flatten();
            let host_ports = host_ports.filter_map(|it| match it.value {
                HostPortDocument::Port(port) => Some(("host_port", port, it.referenced)),
                HostPortDocument::None => None,
            });
            let listens = asks.iter().filter(|(key, _)| *key == "listen");
            let listens = listens.filter_map(|(key, it)| Some((*key, it.as_ref()?)));
            let listens = listens.map(|(key, it)| (key, it.value, it.referenced));
            for (key, port, at) in host_ports.chain(listens) {
                let this = format!("`{key}` of workload `{name}`");
                if let Some(other) = asked.insert(port, this.clone()) {
                    return Err(self.no(
                        at,
                        format_args!("{this} is {port}, which is already the {other}"),
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_dependencies(
        &self,
        workloads: &BTreeMap<String, Spanned<WorkloadDocument>>,
    ) -> Result<()> {
        let mut edges = BTreeMap::new();
        for (name, workload) in workloads {
            let on = &workload.value.depends_on;
            for dependency in on {
                if !workloads.contains_key(&dependency.value) {
                    let hint = did_you_mean(&dependency.value, workloads.keys());
                    return Err(self.no(
                        dependency.referenced,
                        format_args!(
                            "workload `{name}` depends on `{}`, which is no workload{hint}",
                            dependency.value
                        ),
                    ));
                }
            }
            edges.insert(
                name.as_str(),
                on.iter().map(|it| it.value.as_str()).collect(),
            );
        }
        let Err(cycle) = order::sort(&edges) else {
            return Ok(());
        };
        let at = workloads
            .get(cycle.first())
            .and_then(|workload| workload.value.depends_on.first())
            .map_or(Location::UNKNOWN, |it| it.referenced);
        Err(self.no(at, format_args!("`depends_on` is a circle: {cycle}")))
    }
}
