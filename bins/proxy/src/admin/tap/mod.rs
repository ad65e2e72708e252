//! `io.linkerd.proxy.tap.Tap`: the proxy's tap for others to watch.

mod event;
mod filter;

use crate::config::Limits;
use linkerd2_proxy_api::tap::{ObserveRequest, TapEvent, tap_server};
use mesh_tap::{Events, Tap};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// Answers `Observe`.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    tap: Tap,
    max_taps: usize,
    queue: usize,
}

impl Observer {
    pub(super) fn new(tap: Tap, limits: &Limits) -> Self {
        Self {
            tap,
            max_taps: limits.taps,
            queue: limits.tap_queue.min(Tap::MAX_CAPACITY),
        }
    }
}

#[tonic::async_trait]
impl tap_server::Tap for Observer {
    type ObserveStream = Observed;

    async fn observe(&self, req: Request<ObserveRequest>) -> Result<Response<Observed>, Status> {
        let filter = filter::from_wire(&req.into_inner()).map_err(Status::invalid_argument)?;
        if self.tap.subscriptions() >= self.max_taps {
            let text = format!("{} taps are open (--max-taps)", self.max_taps);
            return Err(Status::resource_exhausted(text));
        }
        let events = self
            .tap
            .try_subscribe(filter, self.queue)
            .map_err(|error| Status::resource_exhausted(error.to_string()))?;
        Ok(Response::new(Observed(events)))
    }
}

/// The event stream of one subscriber. Dropping it, as on a disconnect, ends the subscription.
pub(super) struct Observed(Events);

impl Stream for Observed {
    type Item = Result<TapEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.0.poll_next(cx));
        Poll::Ready(next.map(|event| Ok(event::to_wire(event))))
    }
}
