//! Endpoints that do as they are told, and remember who called.

#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mesh_balance::{BalanceHandle, BoxError, Fault};
use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

#[derive(Clone, Copy, Debug)]
pub enum Does {
    Answers(u16, Duration),
    Refuses,
    Hangs,
}

/// Good, after a while.
pub fn ok(ms: u64) -> Does {
    Does::Answers(200, Duration::from_millis(ms))
}

#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<Endpoints>>);

#[derive(Debug, Default)]
struct Endpoints {
    does: HashMap<SocketAddr, Does>,
    calls: HashMap<SocketAddr, usize>,
    made: Vec<SocketAddr>,
}

impl World {
    /// Endpoints 0, 1, 2 ... that do as said.
    pub fn of(does: impl IntoIterator<Item = Does>) -> Self {
        let world = Self::default();
        for (n, does) in does.into_iter().enumerate() {
            world.tell(n, does);
        }
        world
    }

    pub fn tell(&self, n: usize, does: Does) {
        self.0.lock().unwrap().does.insert(addr(n), does);
    }

    /// The endpoints that `balance` has are now these.
    pub fn give(&self, handle: &BalanceHandle<Endpoint>, numbers: impl IntoIterator<Item = usize>) {
        handle.update(numbers.into_iter().map(addr), |addr| {
            self.0.lock().unwrap().made.push(addr);
            Endpoint {
                addr,
                world: self.clone(),
            }
        });
    }

    /// Returns and resets the number of calls of each endpoint.
    pub fn take_calls(&self, count: usize) -> Vec<usize> {
        let calls = std::mem::take(&mut self.0.lock().unwrap().calls);
        (0..count)
            .map(|n| calls.get(&addr(n)).copied().unwrap_or_default())
            .collect()
    }

    /// Returns and resets the addresses whose services were made, in order.
    pub fn take_made(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.0.lock().unwrap().made)
    }
}

pub fn addr(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], n as u16))
}

pub fn get() -> Request<()> {
    Request::new(())
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    addr: SocketAddr,
    world: World,
}

impl Service<Request<()>> for Endpoint {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut world = self.world.0.lock().unwrap();
        *world.calls.entry(self.addr).or_default() += 1;
        let does = world.does[&self.addr];
        let addr = self.addr.to_string();
        Box::pin(async move {
            match does {
                Does::Answers(status, after) => {
                    tokio::time::sleep(after).await;
                    let rsp = Response::builder().status(status);
                    Ok(rsp.body(Full::from(addr)).unwrap())
                }
                Does::Refuses => Err(Fault::Refused.into()),
                Does::Hangs => std::future::pending().await,
            }
        })
    }
}
