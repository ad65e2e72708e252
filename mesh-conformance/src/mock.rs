use crate::{
    Broken, Law, MockFuture, ReceivedRequest, Shape,
    exchange::{RequestId, received_head},
    law::violated,
    permit::{Permit, Token},
};
use http::Request;
use http_body::Body;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tower_service::Service;

/// The reply of a [`Mock`] to one call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MockReply {
    /// A response of this status and body.
    Response(u16, Shape),
    /// An error instead of a response.
    Error,
}

/// A strict inner service that checks its callers.
///
/// It has a limited number of permits. `poll_ready` takes one for its clone, never on the first
/// poll. The call keeps it until its future is dropped or fails, and then the response
/// body until it ends. The mock panics on a call without a permit and on every other visible
/// violation of the laws. Clones share everything except the permit.
pub struct Mock {
    shared: Arc<Shared>,
    permit: Option<Permit>,
    asked: bool,
}

pub(crate) struct Shared {
    total: usize,
    sends_again: bool,
    state: Mutex<MockState>,
    /// One clone for each live future and body.
    tokens: Arc<()>,
}

#[derive(Default)]
pub(crate) struct MockState {
    available: usize,
    waiting: Vec<Waker>,
    /// Permits that clones hold for their next call.
    won: usize,
    answers: VecDeque<MockReply>,
    /// Number of calls after which readiness fails.
    breaks_after: Option<usize>,
    pub(crate) sent: HashMap<u64, Sent>,
    pub(crate) seen: Vec<ReceivedRequest>,
    calls: usize,
    pub(crate) running: usize,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) running: usize,
    pub(crate) times: usize,
    pub(crate) succeeded: bool,
}

impl Mock {
    /// Creates a service with `permits` concurrent calls that replies with a short 200 response.
    pub fn new(permits: usize) -> Self {
        Self::build(permits, false)
    }

    /// Makes a mock for middleware that may retry a failed request.
    pub fn sent_again(permits: usize) -> Self {
        Self::build(permits, true)
    }

    pub(crate) fn build(permits: usize, sends_again: bool) -> Self {
        let state = MockState {
            available: permits,
            ..MockState::default()
        };
        Self {
            shared: Arc::new(Shared {
                total: permits,
                sends_again,
                state: Mutex::new(state),
                tokens: Arc::new(()),
            }),
            permit: None,
            asked: false,
        }
    }

    /// Sets the replies to the next calls, in order. Later calls succeed.
    pub fn answer(&self, answers: impl IntoIterator<Item = MockReply>) {
        self.lock().answers.extend(answers);
    }

    /// Clears the configured replies: the next calls succeed.
    pub(crate) fn answer_well(&self) {
        self.lock().answers.clear();
    }

    /// Lets `poll_ready` fail from the call after the next `calls` on.
    pub fn break_after(&self, calls: usize) {
        let mut state = self.lock();
        state.breaks_after = Some(state.calls + calls);
    }

    /// Takes all permits that are free, until the result is dropped.
    #[must_use]
    pub fn hold_all(&self) -> impl Sized + use<> {
        let free = std::mem::take(&mut self.lock().available);
        (0..free)
            .map(|_| Permit(self.shared.clone()))
            .collect::<Vec<_>>()
    }

    /// Returns the number of free permits.
    pub fn available(&self) -> usize {
        self.lock().available
    }

    /// Returns the number of calls.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// Returns the calls whose request was read to its end, in order.
    pub fn seen(&self) -> Vec<ReceivedRequest> {
        self.lock().seen.clone()
    }

    /// Checks that nothing is left of any call: no future, no body, no permit.
    ///
    /// # Panics
    ///
    /// If there is.
    pub fn assert_idle(&self, when: &str) {
        let running = self.lock().running;
        if running != 0 {
            violated(
                Law::CancelSafe,
                format_args!("{when}, {running} inner calls are still running"),
            );
        }
        let bodies = Arc::strong_count(&self.shared.tokens) - 1;
        if bodies != 0 {
            violated(
                Law::CancelSafe,
                format_args!("{when}, {bodies} bodies are still kept"),
            );
        }
        let (free, total) = (self.available(), self.shared.total);
        if free != total {
            violated(
                Law::LosesNoPermit,
                format_args!("{when}, {free} of {total} permits are free"),
            );
        }
    }

    pub(crate) fn token(&self) -> Token {
        Token(self.shared.tokens.clone())
    }

    fn lock(&self) -> MutexGuard<'_, MockState> {
        self.shared.lock()
    }
}

impl MockState {
    /// One more permit is free; what it may be used for is to be woken without the lock.
    #[must_use]
    pub(crate) fn give_back(&mut self) -> Vec<Waker> {
        self.available += 1;
        std::mem::take(&mut self.waiting)
    }
}

impl Shared {
    // A violation panics under this lock, and the destructors that follow need it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, MockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Service<Request<B>> for Mock
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = http::Response<crate::StrictBody>;
    type Error = Broken;
    type Future = MockFuture<B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.permit.is_some() {
            return Poll::Ready(Ok(()));
        }
        if !self.asked {
            self.asked = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut state = self.shared.lock();
        if state.breaks_after.is_some_and(|calls| state.calls >= calls) {
            return Poll::Ready(Err(Broken("readiness")));
        }
        if state.available == 0 {
            state.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        state.available -= 1;
        state.won += 1;
        drop(state);
        self.permit = Some(Permit(self.shared.clone()));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<B>) -> MockFuture<B> {
        self.asked = false;
        let Some(permit) = self.permit.take() else {
            let another = match self.lock().won {
                0 => "",
                _ => "; another clone is ready, and should have been called instead",
            };
            violated(
                Law::PollsBeforeItCalls,
                format_args!("an inner clone was called that had not said it was ready{another}"),
            );
        };
        let mut state = self.lock();
        state.won -= 1;
        state.calls += 1;
        state.running += 1;
        let answer = state.answers.pop_front();
        let answer = answer.unwrap_or_else(|| MockReply::Response(200, Shape::of(["fine"])));
        let id = RequestId::of(&req);
        if let Some(id) = id {
            let sent = state.sent.entry(id).or_default();
            let problem = match *sent {
                Sent { running: 1.., .. } => Some("while it was still being answered"),
                Sent { succeeded, .. } if succeeded => Some("after it had succeeded"),
                Sent { times: 1.., .. } if !self.shared.sends_again => Some("after it had failed"),
                _ => None,
            };
            if let Some(problem) = problem {
                violated(
                    Law::SendsOnce,
                    format_args!("request {id} was sent again {problem}"),
                );
            }
            sent.times += 1;
            sent.running += 1;
        }
        drop(state);
        let (head, body) = req.into_parts();
        MockFuture::new(
            permit,
            self.token(),
            id,
            received_head(&head, &body),
            body,
            answer,
        )
    }
}

impl Clone for Mock {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            permit: None,
            asked: false,
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if self.permit.is_some() {
            self.lock().won -= 1;
        }
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock")
            .field("ready", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}
