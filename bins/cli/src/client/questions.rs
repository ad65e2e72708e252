//! What the controller can be asked and told: a method for each operation of its API.

use super::{Client, Lines, exchange::path};
use anyhow::Result;
use mesh_api::{
    Applied, ApplyRequest, CanariesRequest, CanaryCommand, CanaryCommanded, CanaryDetail,
    CanaryRow, CheckReport, CheckRequest, Destination, DestinationRequest, EdgeRow, EdgesRequest,
    Fault, FaultsRequest, ManifestKind, ManifestList, NewFault, Question, RouteTable,
    RoutesRequest, StatRequest, StatTable, TapRequest, Version, VersionRequest, WorkloadChange,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

impl Client {
    pub(crate) async fn version(&self) -> Result<Version> {
        self.ask(&VersionRequest {}).await
    }

    pub(crate) async fn check(&self) -> Result<CheckReport> {
        self.ask(&CheckRequest {}).await
    }

    pub(crate) async fn stat(&self, request: &StatRequest) -> Result<Vec<StatTable>> {
        self.ask(request).await
    }

    pub(crate) async fn routes(&self, request: &RoutesRequest) -> Result<Vec<RouteTable>> {
        self.ask(request).await
    }

    pub(crate) async fn edges(&self, request: &EdgesRequest) -> Result<Vec<EdgeRow>> {
        self.ask(request).await
    }

    /// Returns events, a line of JSON each, as they happen.
    pub(crate) async fn tap(&self, request: &TapRequest) -> Result<Lines> {
        self.ask_lines(request).await
    }

    /// Returns what sidecars are told, with the spec of the profile as a `P`.
    pub(crate) async fn destination<P: DeserializeOwned>(
        &self,
        request: &DestinationRequest,
    ) -> Result<Destination<P>> {
        self.ask(request).await
    }

    pub(crate) async fn faults(&self) -> Result<Vec<Fault>> {
        self.ask(&FaultsRequest {}).await
    }

    pub(crate) async fn add_fault(&self, fault: &NewFault) -> Result<Fault> {
        let body = serde_json::to_vec(fault)?;
        self.post(FaultsRequest::PATH, body).await
    }

    pub(crate) async fn remove_fault(&self, id: u64) -> Result<()> {
        self.delete(&path(FaultsRequest::PATH, &[&id.to_string()]))
            .await
    }

    pub(crate) async fn canaries(&self, request: &CanariesRequest) -> Result<Vec<CanaryRow>> {
        self.ask(request).await
    }

    pub(crate) async fn canary(&self, namespace: &str, name: &str) -> Result<CanaryDetail> {
        self.get_json(&path(CanariesRequest::PATH, &[namespace, name]))
            .await
    }

    pub(crate) async fn command_canary(
        &self,
        namespace: &str,
        name: &str,
        command: CanaryCommand,
    ) -> Result<CanaryCommanded> {
        let path = path(CanariesRequest::PATH, &[namespace, name, command.as_str()]);
        self.post(&path, Value::Null.to_string()).await
    }

    /// Returns the resources of a kind: all, those of a namespace, or one.
    pub(crate) async fn resources(
        &self,
        kind: ManifestKind,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<ManifestList<Value>> {
        let parts = [Some(kind.names().plural), namespace, name];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        self.get_json(&path(ManifestKind::PATH, &parts)).await
    }

    /// Applies `manifests`, a text of YAML, as a whole or not at all.
    pub(crate) async fn apply(
        &self,
        request: &ApplyRequest,
        manifests: String,
    ) -> Result<Vec<Applied>> {
        let query = serde_urlencoded::to_string(request)?;
        let path = format!("{}?{query}", ManifestKind::PATH);
        self.put(&path, "application/yaml", manifests).await
    }

    pub(crate) async fn delete_resource(
        &self,
        kind: ManifestKind,
        namespace: &str,
        name: &str,
    ) -> Result<()> {
        let parts = [kind.names().plural, namespace, name];
        self.delete(&path(ManifestKind::PATH, &parts)).await
    }

    /// Changes a workload, and returns what was changed.
    pub(crate) async fn change_workload(
        &self,
        namespace: &str,
        name: &str,
        change: &WorkloadChange,
    ) -> Result<WorkloadChange> {
        let path = path(WorkloadChange::PATH, &[namespace, name]);
        self.patch(&path, serde_json::to_vec(change)?).await
    }
}
