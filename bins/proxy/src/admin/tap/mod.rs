//! `io.linkerd.proxy.tap.Tap`: the proxy's tap for others to watch.

mod event;
mod filter;

use linkerd2_proxy_api::tap::{ObserveRequest, TapEvent, tap_server};
use mesh_tap::{Events, Tap};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// Events that may wait for one reader; Linkerd's capacity.
const CAPACITY: usize = 400;

/// Answers `Observe`.
#[derive(Clone, Debug)]
pub(super) struct Observer(Tap);

impl Observer {
    pub(super) fn new(tap: Tap) -> Self {
        Self(tap)
    }
}

#[tonic::async_trait]
impl tap_server::Tap for Observer {
    type ObserveStream = Observed;

    async fn observe(&self, req: Request<ObserveRequest>) -> Result<Response<Observed>, Status> {
        let filter = filter::from_wire(&req.into_inner()).map_err(Status::invalid_argument)?;
        let events = self
            .0
            .try_subscribe(filter, CAPACITY)
            .map_err(|error| Status::resource_exhausted(error.to_string()))?;
        Ok(Response::new(Observed(events)))
    }
}

/// What one caller watches. Dropping it, as when the caller goes away, ends the subscription.
pub(super) struct Observed(Events);

impl Stream for Observed {
    type Item = Result<TapEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.0.poll_next(cx));
        Poll::Ready(next.map(|event| Ok(event::to_wire(event))))
    }
}
