//! One sending of a request over HTTP/1, and the next one if it was in vain.

use crate::{
    Body, SendError, Sending, framing,
    http1::{Answer, Conn},
    pool::{Inner, sending},
    spare::Spare,
    upload::{Upload, Uploaded},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use mesh_core::{BoxError, Fault};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::time::Instant;

/// A request that has no answer yet.
pub(super) struct Unsettled<B> {
    pub(super) req: Request<Upload<B>>,
    pub(super) uploaded: Uploaded<B>,
    pub(super) idempotent: bool,
    /// A retry layer looks after it.
    pub(super) retryable: bool,
    /// It goes over no connection that was used before.
    pub(super) fresh_only: bool,
}

impl<B: HttpBody<Data = Bytes> + Unpin + 'static> Unsettled<B> {
    /// The request as it came.
    pub(super) fn unsent(self) -> Option<Request<B>> {
        self.uploaded.unsent(self.req)
    }
}

pin_project! {
    // By hand, as each request makes one: an `async fn` takes twice the memory, and more moves.
    struct Exchange<B, F>
    where
        B: HttpBody<Data = Bytes>,
        B: Send,
        B: Unpin,
        B: 'static,
        B::Error: Into<BoxError>,
    {
        #[pin]
        answer: F,
        sent: Option<Sent<B>>,
        // Another sending, if this one was in vain.
        again: Option<Sending<B>>,
    }
}

/// State of a request after it was handed to hyper.
struct Sent<B> {
    pool: Arc<Inner<B>>,
    conn: Box<Conn<B>>,
    /// Time for which the connection was unused, if it was used before.
    unused: Option<Duration>,
    spare: Option<Spare>,
    uploaded: Uploaded<B>,
    idempotent: bool,
    retryable: bool,
}

/// Sends over `conn`, which was unused `since` then, if it was used before.
pub(super) fn begin<B>(
    pool: Arc<Inner<B>>,
    mut conn: Box<Conn<B>>,
    since: Option<Instant>,
    unsettled: Unsettled<B>,
) -> impl Future<Output = Result<Response<Body<B>>, BoxError>> + Send
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Unsettled {
        mut req,
        uploaded,
        idempotent,
        retryable,
        ..
    } = unsettled;
    // A proxy at the other end may say that nobody has seen the request.
    let spare = (uploaded.was_empty() && (idempotent || pool.has_relay()))
        .then(|| Spare::of(&mut req, pool.hooks()));
    pool.prepare(&mut req);
    let sent = since.map(|since| (since, sending()));
    conn.ending().expect(sent.map(|(_, sent)| sent));
    Exchange {
        answer: conn.send(req),
        sent: Some(Sent {
            pool,
            conn,
            unused: sent.map(|(since, sent)| sent.saturating_duration_since(since)),
            spare,
            uploaded,
            idempotent,
            retryable,
        }),
        again: None,
    }
}

impl<B, F> Future for Exchange<B, F>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
    F: Future<Output = Answer<B>>,
{
    type Output = Result<Response<Body<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.again.is_none() {
            let sent = this.sent.as_mut().expect("polled after completion");
            let answer = match sent.conn.drive(cx) {
                // The answer only comes out of the driver: it need not wake this task.
                true => this.answer.poll(&mut Context::from_waker(Waker::noop())),
                false => this.answer.poll(cx),
            };
            let answer = ready!(answer);
            let sent = this.sent.take().expect("is there");
            let error = match answer {
                Ok(rsp) => return Poll::Ready(sent.answered(rsp)),
                Err(error) => error,
            };
            let pool = sent.pool.clone();
            let unsettled = match sent.lost(error) {
                Ok(unsettled) => unsettled,
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            pool.note_resent();
            *this.again = Some(pool.dispatch(unsettled));
        }
        match this.again {
            Some(again) => again.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<B> Sent<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn answered(self, rsp: Response<hyper::body::Incoming>) -> Result<Response<Body<B>>, BoxError> {
        let Self {
            pool,
            conn,
            spare,
            uploaded,
            ..
        } = self;
        let refusal = pool.refusal(&rsp);
        if refusal == Some(Fault::Elapsed) {
            return Err(SendError::late(pool.addr).into());
        }
        let rsp = framing::unambiguous(rsp, pool.addr)?;
        let mut rsp = pool.answered(rsp, conn, &uploaded);
        if let (Some(_), Some(spare)) = (refusal, spare) {
            pool.give_back(&mut rsp, spare, uploaded);
        }
        Ok(rsp)
    }

    /// The request, if it may be sent again at once.
    fn lost(
        self,
        mut error: hyper::client::conn::TrySendError<Request<Upload<B>>>,
    ) -> Result<Unsettled<B>, SendError> {
        let Self {
            pool,
            conn,
            unused,
            spare,
            uploaded,
            idempotent,
            retryable,
            ..
        } = self;
        let addr = pool.addr;
        let unsent = error.take_message();
        let error = error.into_error();
        let is_unread = unused.is_some() && conn.ending().is_unread();
        if let Some(unused) = unused
            && (is_unread || unsent.is_some())
        {
            pool.idle_limit.closed(unused);
        }
        let (req, fresh_only) = match (unsent, spare) {
            (Some(req), spare) => {
                let req = spare.map_or(req, |spare| spare.into_request(Upload::empty()));
                if unused.is_none() {
                    let error = SendError::new(Fault::NeverSent, addr, error);
                    return Err(error.with_unsent(uploaded.unsent(req)));
                }
                (req, false)
            }
            (None, Some(spare)) if idempotent && is_unread => {
                (spare.into_request(Upload::empty()), true)
            }
            (None, _) => return Err(SendError::broken(&error, addr, idempotent || retryable)),
        };
        Ok(Unsettled {
            req,
            uploaded,
            idempotent,
            retryable,
            fresh_only,
        })
    }
}
