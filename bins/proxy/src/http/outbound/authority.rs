//! Rewrites the authority that a request names.

use http::{HeaderValue, Request, Uri, Version, header::HOST, uri::Authority};
use mesh_core::BoxError;
use std::task::{Context, Poll};
use tower_service::Service;

/// Names `host` in the request, in place of the authority that it named.
pub(crate) fn become_authority<B>(req: &mut Request<B>, host: HeaderValue) -> Result<(), BoxError> {
    if req.uri().authority().is_some() {
        let mut parts = std::mem::take(req.uri_mut()).into_parts();
        parts.authority = Some(host.as_bytes().try_into()?);
        *req.uri_mut() = Uri::from_parts(parts)?;
    }
    if req.version() != Version::HTTP_2 {
        req.headers_mut().insert(HOST, host);
    }
    Ok(())
}

/// Names the authority by which an endpoint knows the destination, where that is another one.
#[derive(Clone, Debug)]
pub(crate) struct OverrideAuthority<S> {
    inner: S,
    authority: Option<HeaderValue>,
}

impl<S> OverrideAuthority<S> {
    /// An `authority` that is none is ignored, with a warning.
    pub(crate) fn new(inner: S, authority: Option<&str>) -> Self {
        let authority = authority.and_then(|authority| {
            let valid = authority.parse::<Authority>().is_ok();
            let value = HeaderValue::from_str(authority).ok().filter(|_| valid);
            if value.is_none() {
                tracing::warn!(
                    authority,
                    "the authority of an endpoint is ignored: it is none"
                );
            }
            value
        });
        Self { inner, authority }
    }
}

impl<S, B> Service<Request<B>> for OverrideAuthority<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: Request<B>) -> S::Future {
        if let Some(authority) = &self.authority {
            // It was checked to be an authority, and a scheme stays.
            let _ = become_authority(&mut req, authority.clone());
        }
        self.inner.call(req)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{convert::Infallible, future::Ready, future::ready};

    struct Echo;

    impl Service<Request<()>> for Echo {
        type Response = Request<()>;
        type Error = Infallible;
        type Future = Ready<Result<Request<()>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, req: Request<()>) -> Self::Future {
            ready(Ok(req))
        }
    }

    async fn sent(authority: Option<&str>, uri: &str) -> Request<()> {
        let req = Request::get(uri).header(HOST, "web:80").body(()).unwrap();
        let mut service = OverrideAuthority::new(Echo, authority);
        service.call(req).await.unwrap()
    }

    #[tokio::test]
    async fn an_endpoint_with_another_authority_is_asked_for_that() {
        let req = sent(Some("web.east:80"), "http://web:80/a?b").await;
        assert_eq!(req.headers()[HOST], "web.east:80");
        assert_eq!(req.uri(), "http://web.east:80/a?b");
        let req = sent(Some("web.east:80"), "/a").await;
        assert_eq!(req.headers()[HOST], "web.east:80");
        for other in [None, Some("no authority"), Some("")] {
            let req = sent(other, "/a").await;
            assert_eq!(req.headers()[HOST], "web:80", "{other:?}");
        }
    }
}
