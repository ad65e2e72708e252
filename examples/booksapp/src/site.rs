//! Calling another service by its plain name. `http_proxy` decides whether a mesh is in between.

use crate::{rest::Failure, store::Object};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use std::time::Duration;

/// One service and how to reach it.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    base: String,
    client: Client,
}

impl Site {
    pub(crate) fn new(base: &str) -> anyhow::Result<Self> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            client,
        })
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Returns true if HEAD succeeds at `path`.
    pub(crate) async fn exists(&self, path: &str) -> Result<bool, Failure> {
        match self.request(Method::HEAD, path).send().await?.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(Failure(format!("HEAD {}{path}: {status}", self.base))),
        }
    }

    /// The array at `path`.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Object>, Failure> {
        Ok(self.ok(Method::GET, path).await?.json().await?)
    }

    /// The object at `path`, if there is one.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Object>, Failure> {
        let rsp = self.request(Method::GET, path).send().await?;
        match rsp.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(rsp.json().await?)),
            status => Err(Failure(format!("GET {}{path}: {status}", self.base))),
        }
    }

    /// Removes what is at `path`; whether there was something.
    pub(crate) async fn delete(&self, path: &str) -> Result<bool, Failure> {
        let rsp = self.request(Method::DELETE, path).send().await?;
        match rsp.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(Failure(format!("DELETE {}{path}: {status}", self.base))),
        }
    }

    async fn ok(&self, method: Method, path: &str) -> Result<Response, Failure> {
        let rsp = self.request(method.clone(), path).send().await?;
        let status = rsp.status();
        if status.is_success() {
            Ok(rsp)
        } else {
            Err(Failure(format!("{method} {}{path}: {status}", self.base)))
        }
    }
}
