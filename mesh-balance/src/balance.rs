use crate::{BalanceBody, BalanceHandle, Config, EndpointStatus, ResponseFuture, watch::Shared};
use http::{Request, Response};
use mesh_core::{BoxError, hot::CallClock};
use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// Sends each request to one of many endpoints.
///
/// See the [crate documentation](crate) for an example. Clones share endpoints and what was
/// learned of them.
pub struct Balance<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Balance<S> {
    /// A balance that has no endpoints yet; its [`handle`](Self::handle) gives it some.
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// Makes a balance with settings.
    pub fn with(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
        }
    }

    /// Changes the endpoints while this balance and its clones run.
    pub fn handle(&self) -> BalanceHandle<S> {
        BalanceHandle::new(self.shared.clone())
    }

    /// Returns true if there is an endpoint, so that a request is sent at once.
    ///
    /// Endpoints that fail count: even if all are ejected, they serve. It costs one load of an
    /// atomic, and suits a split that skips leaves without endpoints.
    pub fn is_available(&self) -> bool {
        self.shared.is_available()
    }

    /// Chooses as for a request, and sends none: benchmarks ask what a choice costs.
    #[doc(hidden)]
    pub fn choice(&self) -> Option<SocketAddr> {
        self.shared.choice()
    }

    /// Every endpoint as it is now, in the order they were given.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.shared.status()
    }
}

impl<S, B, RB> Service<Request<B>> for Balance<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    RB: http_body::Body,
{
    type Response = Response<BalanceBody<RB>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    /// Always ready: to wait for one endpoint here would be to have chosen it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If there is no endpoint to send `req` to, and no tokio runtime with time enabled to wait
    /// for one.
    fn call(&mut self, req: Request<B>) -> Self::Future {
        let _clock = CallClock::begin();
        ResponseFuture::new(&self.shared, req)
    }
}

impl<S> Default for Balance<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Clone for Balance<S> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<S> fmt::Debug for Balance<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("endpoints", &self.endpoints())
            .finish()
    }
}
