use crate::{
    Body, Protocol, Returned, SendError, Sending,
    ending::Ending,
    error::is_unprocessed,
    framing,
    kept::Kept,
    pool::{Inner, sending},
    spare::Spare,
    stream::Stream,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::{RecvStream, client::SendRequest};
use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as HttpBody;
use mesh_core::{BoxError, Fault};
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

/// A peer that refuses every stream must not be asked for ever.
const MAX_RESENDS: u32 = 3;

/// Streams that a peer gets before it has said how many it takes: no peer ought to take less
/// (RFC 9113, 6.5.2).
const FIRST_STREAMS: usize = 100;

/// Bytes that a peer may send of one response before any of it is read, 128 KiB.
///
/// At a round trip of 1 ms this is 125 MB/s for one stream.
const STREAM_WINDOW: u32 = 128 << 10;

/// Bytes that a peer may send of all responses of a connection before any is read, 32 MiB.
///
/// It is the window of 256 streams, so that readers that stall hold up only themselves: our own
/// proxy takes 200 streams at a time, others mostly 100 to 250.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// Times the limit of heads that h2 reads of one.
///
/// h2 drops the fields of trailers that are over its own limit, and says nothing. It must read them for
/// the pool to find that they are too large.
const ROOM: usize = 256;

/// A connection that requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    sender: SendRequest<Bytes>,
    /// Each exchange on the connection holds one, to its end.
    ending: Arc<Ending>,
}

impl Shared {
    /// Its holders while there is no exchange: the socket, the pool, and who is about to send.
    const HOLDERS: usize = 3;

    /// Counts a request, and looks for the proof that the peer did not read it, if it was `sent` then
    /// and has the connection for itself: its number, if so.
    fn begin(&self, sent: Option<Instant>) -> Option<u64> {
        let number = self.ending.requests.fetch_add(1, Relaxed) + 1;
        let sent = sent.filter(|_| Arc::strong_count(&self.ending) <= Self::HOLDERS);
        self.ending.expect(sent);
        sent.map(|_| number)
    }
}

impl<B> Inner<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn send_http2(self: Arc<Self>, mut req: Request<B>) -> Sending<B> {
        let idempotent = req.method().is_idempotent();
        // A retry layer looks after these.
        let retryable = self.is_retried(req.extensions());
        let safe = idempotent || retryable;

        let mut resends = 0;
        let mut found_unread = false;
        let mut sent_at = sending();
        Box::pin(async move {
            loop {
                let turn = match self.opening.try_lock() {
                    Ok(turn) => turn,
                    Err(_) => {
                        let turn = self.opening.lock().await;
                        sent_at = sending();
                        turn
                    }
                };
                let (mut shared, reused) = match self.open_sender() {
                    Some(shared) => (shared, true),
                    None => match Box::pin(self.connected()).await {
                        Ok(shared) => {
                            sent_at = sending();
                            (shared, false)
                        }
                        Err(error) => return Err(error.with_unsent(Some(req)).into()),
                    },
                };
                let (mut parts, body) = req.into_parts();
                let body = Kept::new(body, &mut parts.extensions, self.settings.kept_bytes);
                let was_empty = body.is_end_stream();
                let mut head = Request::from_parts(parts, ());
                let spare = Spare::of(&mut head, self.hooks());
                self.announce(&mut head);
                self.to_absolute_form(&mut head);
                let expected = reused && idempotent && was_empty;
                let alone = shared.begin(expected.then_some(sent_at));
                let ending = shared.ending.clone();
                let (error, body, unsent) = match shared.sender.send_request(head, was_empty) {
                    Ok((answer, out)) => {
                        let mut stream = Stream::new(answer, out, body);
                        // Pending only while the peer takes no more streams: whoever comes next
                        // waits before anything of it is sent.
                        let _ = poll_fn(|cx| shared.sender.poll_ready(cx)).await;
                        drop((shared, turn));
                        match stream.answer().await {
                            Ok(rsp) if framing::size(rsp.headers()) > self.settings.head_bytes => {
                                return Err(SendError::large_head(self.addr).into());
                            }
                            Ok(rsp) => {
                                if self.refusal(&rsp) == Some(Fault::Elapsed) {
                                    return Err(SendError::late(self.addr).into());
                                }
                                let rsp = framing::unambiguous_stream(rsp, self.addr)?;
                                return Ok(self.answered_stream(rsp, stream, spare, ending));
                            }
                            Err(error) => (error, stream.into_body(), false),
                        }
                    }
                    Err(error) => (error, body, true),
                };
                let unprocessed = unsent || is_unprocessed(&error);
                // As over HTTP/1, a peer that closes the connection unread is survived once.
                let again = !found_unread && alone.is_some_and(|n| ending.was_last(n));
                found_unread |= again;
                if !unprocessed && !again {
                    return Err(SendError::broken_stream(error, self.addr, safe).into());
                }
                req = match body.take_back(spare.into_request(())) {
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

    /// The response as the caller gets it, or as it goes to whoever asks another endpoint.
    fn answered_stream(
        &self,
        rsp: Response<RecvStream>,
        stream: Stream<B>,
        spare: Spare,
        ending: Arc<Ending>,
    ) -> Response<Body<B>> {
        let mut rsp = rsp.map(|body| Body::http2(body, ending, self.settings.head_bytes));
        match self.refusal(&rsp) {
            Some(_) if stream.is_whole() => {
                if let Some(req) = stream.into_body().take_back(spare.into_request(())) {
                    let returned = Returned {
                        req,
                        from: self.addr,
                    };
                    returned.go_with(&mut rsp);
                }
            }
            _ => stream.arrived(),
        }
        rsp
    }

    /// A new connection, which requests share from now on.
    async fn connected(&self) -> Result<Shared, SendError> {
        let (io, ending) = self.connect(Protocol::Http2).await?;
        let most = self.settings.head_bytes.saturating_mul(ROOM);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let (sender, conn) = h2::client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(FIRST_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(most)
            .max_send_buffer_size(self.settings.buffer_bytes.min(u32::MAX as usize))
            .handshake(io)
            .await
            .map_err(|error| SendError::new(Fault::Protocol, self.addr, error))?;
        tokio::spawn(conn.map(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "connection to an endpoint ended");
            }
        }));
        let shared = Shared { sender, ending };
        *self.shared() = Some(shared.clone());
        Ok(shared)
    }

    /// The connection, if there is one that takes requests.
    fn open_sender(&self) -> Option<Shared> {
        let mut shared = self.shared();
        let open = shared.as_mut()?;
        // Nobody waits with this one for a stream to be opened: it is ready, or of no more use.
        let ready = open
            .sender
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Err(_)) = ready {
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
