use super::{
    Inner, SendError, Sending, Spare,
    body::Body,
    error::{is_broken_connection, is_unprocessed},
    is_idempotent, sending,
    upload::Upload,
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Uri,
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
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn send_http2(self: Arc<Self>, mut req: Request<B>) -> Sending<B> {
        let idempotent = is_idempotent(req.method());
        // A retry layer looks after these.
        let retryable = Route::of(&req).is_some_and(Route::is_retryable);
        let safe = idempotent || retryable;

        let mut resends = 0;
        let mut sent_at = sending();
        Box::pin(async move {
            loop {
                let (mut sender, reused) = match self.open_sender() {
                    Some(sender) => (sender, true),
                    None => match Box::pin(self.connected()).await {
                        Ok(sender) => {
                            sent_at = sending();
                            sender
                        }
                        Err(error) => return Err(error.with_unsent(Some(req)).into()),
                    },
                };
                let (mut parts, body) = req.into_parts();
                let (body, uploaded) =
                    Upload::kept(body, &mut parts.extensions, self.settings.kept_bytes);
                let mut sent = Request::from_parts(parts, body);
                let spare = Spare::of(&mut sent);
                self.announce(&mut sent);
                self.to_absolute_form(&mut sent);
                let mut error = match sender.try_send_request(sent).await {
                    Ok(rsp) => {
                        let mut rsp = rsp.map(|body| Body::new(body, None));
                        match self.refusal(&rsp) {
                            Some(refusal) => self.give_back(&mut rsp, refusal, spare, uploaded),
                            None => uploaded.arrived(),
                        }
                        return Ok(rsp);
                    }
                    Err(error) => error,
                };
                let unsent = error.take_message();
                let error = error.into_error();
                let unprocessed = unsent.is_some() || is_unprocessed(&error);
                // As over HTTP/1, a connection that the peer was closing is survived once.
                let again = reused
                    && idempotent
                    && resends == 0
                    && uploaded.was_empty()
                    && is_broken_connection(&error)
                    && self.is_soon(sent_at);
                if !unprocessed && !again {
                    let broken = SendError::broken(&error, self.addr, safe);
                    let lost = idempotent && !retryable && uploaded.was_empty() && broken.is_lost();
                    let lost = lost.then(|| spare.into_request(Upload::empty()));
                    return Err(broken
                        .with_lost(lost.and_then(|req| uploaded.unsent(req)))
                        .into());
                }
                req = match uploaded.unsent(spare.into_request(Upload::empty())) {
                    Some(req) => req,
                    // Too much of its body is gone; a retry layer may have kept it.
                    None => return Err(SendError::new(Fault::NeverSent, self.addr, error).into()),
                };
                if resends == MAX_RESENDS {
                    let error = SendError::new(Fault::NeverSent, self.addr, error);
                    return Err(error.with_unsent(Some(req)).into());
                }
                resends += 1;
                self.note_resent();
            }
        })
    }

    /// The connection that all requests share, opened if there is still none, and whether there is.
    async fn connected(&self) -> Result<(SendRequest<Upload<B>>, bool), SendError> {
        let _opening = self.opening.lock().await;
        if let Some(sender) = self.open_sender() {
            return Ok((sender, true));
        }
        let io = self.connect().await?;
        let (sender, conn) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(self.settings.head_bytes).unwrap_or(u32::MAX))
            .max_send_buf_size(self.settings.buffer_bytes.min(u32::MAX as usize))
            .handshake(io)
            .await
            .map_err(|error| SendError::new(Fault::Protocol, self.addr, error))?;
        tokio::spawn(conn);
        *self.shared() = Some(sender.clone());
        Ok((sender, false))
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
