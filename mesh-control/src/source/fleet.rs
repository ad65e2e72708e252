use super::{BoxError, BoxFuture};
use crate::model::WorkloadName;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

/// Changes the running programs: through the supervisor of one machine, or the API server of a
/// cluster.
///
/// The control plane changes what runs through this trait alone.
pub trait Fleet: Debug + Send + Sync {
    /// Runs `replicas` pods of a workload from now on. Returns when the change is accepted.
    ///
    /// # Errors
    ///
    /// If there is no such workload, or it cannot be scaled.
    fn scale(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        replicas: u32,
    ) -> BoxFuture<'_, Result<(), BoxError>>;

    /// Runs `revision` of a workload from now on, replacing its pods one after the other. Returns
    /// when the change is accepted.
    ///
    /// # Errors
    ///
    /// If there is no such workload, or it cannot be replaced.
    fn set_revision(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        revision: Arc<str>,
    ) -> BoxFuture<'_, Result<(), BoxError>>;

    /// Sets environment variables of a workload's program, or removes those without a value, and
    /// replaces its pods one after the other. Returns when the change is accepted.
    ///
    /// # Errors
    ///
    /// If there is no such workload, or it cannot be replaced.
    fn set_env(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        env: BTreeMap<String, Option<String>>,
    ) -> BoxFuture<'_, Result<(), BoxError>>;

    /// Runs the primary of a workload from now on: a second set of pods, called after the workload
    /// and `-primary`, that runs `template`, one of the last that the workload has had. Without a
    /// template, removes the primary. Returns when the change is accepted.
    ///
    /// # Errors
    ///
    /// If there is no such workload or template, or two sets of its pods cannot run at once.
    fn set_primary(
        &self,
        namespace: Arc<str>,
        workload: WorkloadName,
        template: Option<Arc<str>>,
    ) -> BoxFuture<'_, Result<(), BoxError>>;
}
