use crate::{ResponseFuture, Split, SplitHandle};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower_service::Service;

/// A [`Split`] that keeps each subject with its leaf.
///
/// Made by [`Split::sticky_by`].
#[derive(Clone)]
pub struct Sticky<S, F> {
    split: Split<S>,
    subject: F,
}

impl<S, F> Sticky<S, F> {
    pub(crate) fn new(split: Split<S>, subject: F) -> Self {
        Self { split, subject }
    }

    /// Replaces leaves and weights while this split and its clones run.
    pub fn handle(&self) -> SplitHandle<S> {
        self.split.handle()
    }
}

impl<S, F> Sticky<S, F> {
    /// The inner service.
    pub fn get_ref(&self) -> &Split<S> {
        &self.split
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut Split<S> {
        &mut self.split
    }

    /// The inner service, without this one.
    pub fn into_inner(self) -> Split<S> {
        self.split
    }
}

impl<S, F, R> Service<R> for Sticky<S, F>
where
    S: Service<R> + Clone,
    F: Fn(&R) -> Option<u64>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: R) -> Self::Future {
        let subject = (self.subject)(&req);
        self.split.send(subject, req)
    }
}

impl<S, F> fmt::Debug for Sticky<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sticky").finish_non_exhaustive()
    }
}

/// The value of the cookie called `name` in the value of a `Cookie` header, as it stands there.
///
/// With several of the name the first counts, which browsers make the one of the longest path.
pub fn cookie<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    let mut pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.trim() == name)?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::cookie;

    #[test]
    fn a_cookie_is_found_among_others() {
        let header = "theme=dark; session=a1=b; xsession=no;session=second; empty=";
        for (name, value) in [
            ("theme", Some("dark")),
            ("session", Some("a1=b")),
            ("empty", Some("")),
            ("Session", None),
            ("", None),
        ] {
            assert_eq!(cookie(header, name), value, "{name}");
        }
        assert_eq!(cookie("", "session"), None);
        assert_eq!(cookie("session", "session"), None);
    }
}
