use super::context::Context;
use crate::{
    faults::Faults,
    index::{Changes, Index},
};
use futures_util::{Stream, StreamExt, stream};
use mesh_discover::{
    FaultRule,
    wire::mesh_v1::{self, FaultSet, FaultsServer, WatchFaultsRequest, fault_to_wire},
};
use std::{pin::Pin, sync::Arc, time::SystemTime};
use tokio::{sync::watch, time::Instant};
use tonic::{Request, Response, Status};

/// The service `mesh.v1.Faults`: tells sidecars which faults to inject.
#[derive(Clone, Debug)]
pub struct FaultsApi {
    faults: Faults,
    index: Index,
    stop: watch::Receiver<bool>,
}

/// The stream of one client.
struct Client {
    api: FaultsApi,
    context: Context,
    version: watch::Receiver<u64>,
    changes: Changes,
    /// The numbers of the faults that were sent; `None` before the first message.
    sent: Option<Vec<u64>>,
}

impl FaultsApi {
    /// Sends `faults` to the clients that they are for, whose workloads `index` knows. Streams end
    /// when `stop` is true or its sender is dropped.
    pub fn new(faults: Faults, index: Index, stop: watch::Receiver<bool>) -> Self {
        Self {
            faults,
            index,
            stop,
        }
    }

    /// The gRPC service.
    pub fn into_service(self) -> FaultsServer<Self> {
        FaultsServer::new(self)
    }

    /// The faults of a client, and true if others may be for its workload alone.
    fn of(&self, context: &Context) -> (FaultSet, bool) {
        let now = SystemTime::now();
        let active = self.faults.active(now);
        let is_selective = active.iter().any(|fault| fault.from.is_some());
        // Only such a fault is worth a look at all pods.
        let workload = is_selective.then(|| self.workload(context)).flatten();
        let client = workload.as_deref().map(|name| (&*context.ns, name));
        let mine = active.iter().filter(|fault| fault.is_for(client));
        let faults = mine.filter_map(|fault| {
            let rule = FaultRule {
                id: fault.id,
                service: fault.service.fqdn(self.index.domain()).into(),
                route: fault.route.clone(),
                share: fault.share,
                kind: fault.kind,
                // The wire has the time that is left.
                ends: Instant::now().into_std(),
            };
            Some(fault_to_wire(&rule, fault.remaining(now)?))
        });
        let faults = faults.collect();
        (FaultSet { faults }, is_selective)
    }

    fn workload(&self, context: &Context) -> Option<Arc<str>> {
        let snapshot = self.index.snapshot();
        let mut pods = snapshot.pods.iter();
        let pod = pods.find(|pod| *pod.namespace == *context.ns && *pod.name == *context.pod)?;
        pod.workload.as_ref().map(|workload| workload.name.clone())
    }
}

impl Client {
    /// The next set that differs from the last.
    async fn next(mut self) -> Option<(FaultSet, Self)> {
        loop {
            self.version.mark_unchanged();
            let (set, is_selective) = self.api.of(&self.context);
            let ids: Vec<_> = set.faults.iter().map(|fault| fault.id).collect();
            if self.sent.as_ref() != Some(&ids) {
                self.sent = Some(ids);
                return Some((set, self));
            }
            tokio::select! {
                changed = self.version.changed() => changed.ok()?,
                // A pod may become known after its sidecar has asked.
                changed = self.changes.changed(), if is_selective => changed.then_some(())?,
            }
        }
    }
}

#[tonic::async_trait]
impl mesh_v1::Faults for FaultsApi {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<FaultSet, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<WatchFaultsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let client = Client {
            context: Context::parse(&request.into_inner().context_token),
            version: self.faults.version(),
            changes: self.index.changes(),
            api: self.clone(),
            sent: None,
        };
        let mut stop = self.stop.clone();
        let stopped = async move {
            // An error is the end, too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let sets = stream::unfold(client, Client::next).map(Ok);
        Ok(Response::new(Box::pin(sets.take_until(Box::pin(stopped)))))
    }
}
