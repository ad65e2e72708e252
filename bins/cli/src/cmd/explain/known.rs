use crate::{client::Client, output::Refusal};
use anyhow::{Result, bail};
use mesh_api::Resource;
use mesh_controller::source::workloads::{Workload, Workloads};
use std::fs;

/// The workloads of the mesh, where they can be known: on the machine that runs it.
#[derive(Debug)]
pub(super) struct Known(Option<Workloads>);

impl Known {
    pub(super) fn read(client: &Client) -> Result<Self> {
        let text = client
            .state_dir()
            .and_then(|dir| fs::read(dir.join("run/workloads.json")).ok());
        let workloads = text.map(|text| serde_json::from_slice(&text)).transpose()?;
        Ok(Self(workloads))
    }

    /// Refuses a source that there is not.
    pub(super) fn check_source(&self, from: &str, namespace: &str) -> Result<()> {
        if !from.contains('/') {
            return Err(Refusal::from("name it as KIND/NAME, as in deploy/webapp").into());
        }
        let resource: Resource = from.parse()?;
        let (Some(workloads), Some(name)) = (&self.0, &resource.name) else {
            return Ok(());
        };
        let mut names = workloads.workloads.iter().flat_map(|workload| {
            let pods = workload.replicas.iter().map(|replica| &replica.pod);
            pods.chain([&workload.name])
        });
        if !names.any(|known| known == name) {
            bail!("not found in the namespace {namespace}");
        }
        Ok(())
    }

    /// The service that `authority`, which the mesh does not know, may mean.
    pub(super) fn hint(&self, authority: &str, namespace: &str) -> Option<String> {
        let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
        let mut labels = host.split('.');
        let name = labels.next()?;
        let namespace = labels.next().unwrap_or(namespace);
        let services = self.0.iter().flat_map(|it| &it.workloads);
        let is_meant = |it: &&Workload| {
            it.namespace == namespace && (it.name == name || it.service() == Some(name))
        };
        // The service of that name, sooner than the workload.
        let meant = services.filter(is_meant);
        let workload = meant.max_by_key(|it| it.service() == Some(name))?;
        Some(match (workload.service(), workload.service_port) {
            (Some(service), Some(known)) if service == name => {
                format!("the port of {name} is {known}, not {port}")
            }
            (Some(service), Some(known)) => {
                format!("the service of the workload {name} is {service}:{known}")
            }
            _ => format!("{name} is a workload without a port, so it has no service"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let workloads = r#"{"generation": 1, "namespace": "shop", "workloads": [
            {"name": "books", "namespace": "shop", "service_port": 7002,
             "replicas": []},
            {"name": "web", "namespace": "shop", "service": "web-svc", "service_port": 80,
             "replicas": []},
            {"name": "traffic", "namespace": "shop", "replicas": []}]}"#;
        Known(Some(serde_json::from_str(workloads).unwrap()))
    }

    #[test]
    fn a_wrong_port_is_told() {
        let hint = |authority| known().hint(authority, "shop");
        assert_eq!(
            hint("books").as_deref(),
            Some("the port of books is 7002, not 80")
        );
        assert_eq!(
            hint("books.shop.svc:1").as_deref(),
            Some("the port of books is 7002, not 1")
        );
        assert_eq!(
            hint("web").as_deref(),
            Some("the service of the workload web is web-svc:80")
        );
        assert_eq!(
            hint("web-svc:1").as_deref(),
            Some("the port of web-svc is 80, not 1")
        );
        assert!(hint("traffic:1").unwrap().contains("no service"));
        assert_eq!(hint("books.other:7002"), None);
        assert_eq!(hint("example.com"), None);
    }

    #[test]
    fn a_source_must_be_there() {
        known().check_source("deploy/books", "shop").unwrap();
        assert!(known().check_source("deploy/none", "shop").is_err());
        assert!(known().check_source("books", "shop").is_err());
        Known(None).check_source("deploy/none", "shop").unwrap();
    }
}
