use crate::{Faulty, faults::Shared};
use std::sync::Arc;
use tower_layer::Layer;

/// Injects the faults of the [`Faults`](crate::Faults) that made it.
///
/// Place it below retries and above the choice of an endpoint, so that a retry may be spared and no
/// endpoint is blamed.
#[derive(Clone, Debug)]
pub struct FaultLayer {
    source: Arc<Source>,
}

/// The layer's own reference to the list, which the clones of its services count: a thread that
/// makes a layer of its own shares no counter with others.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) shared: Arc<Shared>,
}

impl FaultLayer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            source: Arc::new(Source { shared }),
        }
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty::new(inner, self.source.clone())
    }
}
