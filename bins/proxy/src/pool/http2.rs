use super::{
    Inner, SendError, Spare,
    body::{Body, Upload},
    error::is_unprocessed,
    http1::not_uploaded,
    is_idempotent,
};
use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as HttpBody;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mesh_core::{BoxError, Fault, Route};
use std::sync::Arc;

/// A peer that refuses every stream must not be asked for ever.
const MAX_RESENDS: u32 = 3;

impl<B> Inner<B>
where
    B: HttpBody + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    pub(super) async fn send_http2(
        self: Arc<Self>,
        mut req: Request<B>,
    ) -> Result<Response<Body<B>>, SendError> {
        self.to_absolute_form(&mut req);
        let safe = is_idempotent(req.method()) || Route::of(&req).is_some_and(Route::is_retryable);

        let (parts, body) = req.into_parts();
        let (body, uploaded) = Upload::new(body);
        let mut req = Request::from_parts(parts, body);
        let mut resends = 0;
        loop {
            let mut sender = match self.sender().await {
                Ok(sender) => sender,
                Err(error) => return Err(error.with_unsent(not_uploaded(req))),
            };
            let spare = uploaded.was_empty().then(|| Spare::of(&req));
            let mut error = match sender.try_send_request(req).await {
                Ok(rsp) => return Ok(rsp.map(|body| Body::new(body, None))),
                Err(error) => error,
            };
            let unsent = error.take_message();
            let error = error.into_error();
            if resends == MAX_RESENDS {
                let error = SendError::new(Fault::NeverSent, self.addr, error);
                return Err(error.with_unsent(unsent.and_then(not_uploaded)));
            }
            req = match (unsent, spare) {
                (Some(req), _) => req,
                (None, Some(spare)) if is_unprocessed(&error) => {
                    spare.into_request(Upload::empty())
                }
                (None, None) if is_unprocessed(&error) => {
                    // Its body is gone; a retry layer may have kept it.
                    return Err(SendError::new(Fault::NeverSent, self.addr, error));
                }
                _ => return Err(SendError::broken(&error, self.addr, safe)),
            };
            resends += 1;
            self.note_resent();
        }
    }

    /// The connection that all requests share, opened if there is none.
    async fn sender(&self) -> Result<SendRequest<Upload<B>>, SendError> {
        if let Some(sender) = self.open_sender() {
            return Ok(sender);
        }
        let _opening = self.opening.lock().await;
        if let Some(sender) = self.open_sender() {
            return Ok(sender);
        }
        let io = self.connect().await?;
        let (sender, conn) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(io)
            .await
            .map_err(|error| SendError::new(Fault::Protocol, self.addr, error))?;
        tokio::spawn(conn);
        *self.shared() = Some(sender.clone());
        Ok(sender)
    }

    fn open_sender(&self) -> Option<SendRequest<Upload<B>>> {
        let mut shared = self.shared();
        if shared.as_ref().is_some_and(SendRequest::is_closed) {
            *shared = None;
        }
        shared.clone()
    }

    /// HTTP/2 has no origin form: `:scheme` and `:authority` are filled in.
    fn to_absolute_form<B2>(&self, req: &mut Request<B2>) {
        let host = req.headers_mut().remove(HOST);
        let uri = req.uri();
        if uri.scheme().is_some() && uri.authority().is_some() {
            return;
        }
        let authority = uri.authority().cloned().or_else(|| {
            let host = host.as_ref().map(HeaderValue::as_bytes)?;
            Authority::try_from(host).ok()
        });
        let authority = authority.unwrap_or_else(|| {
            Authority::try_from(self.addr.to_string()).expect("a socket address is an authority")
        });
        let mut parts = std::mem::take(req.uri_mut()).into_parts();
        parts.scheme = Some(parts.scheme.unwrap_or(Scheme::HTTP));
        parts.authority = Some(authority);
        parts.path_and_query = Some(
            parts
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
        );
        *req.uri_mut() = Uri::from_parts(parts).expect("all three parts are there");
    }
}
