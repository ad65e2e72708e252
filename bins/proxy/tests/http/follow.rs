//! The sidecar and a program without one follow the same destinations in the same way.

use crate::support::{Client, Discovery, Running, Upstream, config};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use mesh_discover::{
    Backend, Destination, Endpoint, Publisher, RequestMatchSpec, RouteRule, Watch,
    embedded::{Metrics, Outbound},
};
use mesh_proxy::Role;
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

const WEB: &str = "web.shop.svc.cluster.local:80";

/// Backends with one endpoint each, of which the first is always there; so a choice is exact.
const BACKENDS: usize = 3;

/// The upstreams behind the backends, and two that tell which destination is in force.
const UPSTREAMS: usize = BACKENDS + 2;

/// The description of an endpoint in a destination.
#[derive(Clone, Copy, Debug, PartialEq)]
struct EndpointSpec {
    h2: bool,
    identity: Option<u8>,
    pod: u8,
}

/// One destination in a sequence, and the requests that are sent while it is in force.
#[derive(Clone, Debug)]
struct Step {
    endpoints: [Option<EndpointSpec>; BACKENDS],
    /// Weights, below a condition on the path; the last rule is for all.
    rules: Vec<(char, [u32; BACKENDS])>,
    requests: Vec<char>,
}

fn endpoint_spec() -> impl Strategy<Value = EndpointSpec> {
    (any::<bool>(), prop::option::of(0..2u8), 0..2u8).prop_map(|(h2, identity, pod)| EndpointSpec {
        h2,
        identity,
        pod,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let weights = (1..4u32, 0..4u32, 0..4u32).prop_map(|(a, b, c)| [a, b, c]);
    let rules = prop::collection::vec((prop::char::range('a', 'c'), weights), 1..4);
    let endpoints = (
        endpoint_spec(),
        prop::option::of(endpoint_spec()),
        prop::option::of(endpoint_spec()),
    );
    let requests = prop::collection::vec(prop::char::range('a', 'd'), 0..8);
    (endpoints, rules, requests).prop_map(|((a, b, c), rules, requests)| Step {
        endpoints: [Some(a), b, c],
        rules,
        requests,
    })
}

/// A sequence in which most endpoints are what they were before.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kept = [any::<bool>(); BACKENDS];
    prop::collection::vec((step(), kept), 2..6).prop_map(|steps| {
        let mut all: Vec<Step> = Vec::new();
        for (mut step, kept) in steps {
            if let Some(before) = all.last() {
                for (number, kept) in kept.into_iter().enumerate() {
                    if kept {
                        step.endpoints[number] = before.endpoints[number];
                    }
                }
            }
            all.push(step);
        }
        all
    })
}

impl Step {
    fn destination(&self, number: usize, addrs: &[SocketAddr]) -> Destination {
        let backend = |number: usize, spec: Option<EndpointSpec>| {
            let endpoint = spec.map(|spec| {
                let labels = BTreeMap::from([("pod".to_owned(), format!("web-{}", spec.pod))]);
                let endpoint = Endpoint::new(addrs[number])
                    .with_labels(labels)
                    .with_h2(spec.h2);
                match spec.identity {
                    Some(id) => endpoint.with_identity(format!("{id}.shop.identity")),
                    None => endpoint,
                }
            });
            Backend::new(format!("web-{number}:80"), endpoint)
        };
        let endpoints = self.endpoints.iter().enumerate();
        let backends = endpoints.map(|(number, spec)| backend(number, *spec));
        let which = BACKENDS + number % 2;
        let tells = Backend::new(format!("step-{number}:80"), [Endpoint::new(addrs[which])]);
        let path = |path: String| RequestMatchSpec::path_regex(path);
        let first = RouteRule::to(tells.name().clone()).with_condition(path("/step".into()));

        let last = self.rules.len() - 1;
        let rules = self
            .rules
            .iter()
            .enumerate()
            .map(|(number, (letter, weights))| {
                let shares = weights.iter().enumerate();
                let shares = shares.map(|(number, weight)| (format!("web-{number}:80"), *weight));
                let rule = RouteRule::split(shares).unwrap();
                match number == last {
                    true => rule,
                    false => rule.with_condition(path(format!("/{letter}"))),
                }
            });
        Destination::named("web:80", WEB)
            .with_rules([first].into_iter().chain(rules))
            .with_backends(backends.chain([tells]))
    }
}

/// Connections that a program without a sidecar has opened, by upstream.
type Opened = Arc<Mutex<[usize; UPSTREAMS]>>;

/// A connection of such a program: opened by its first request, and one for all clones.
#[derive(Clone)]
struct Connection {
    upstream: usize,
    is_open: Arc<AtomicBool>,
    opened: Opened,
}

impl Service<Request<Empty<Bytes>>> for Connection {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        if !self.is_open.swap(true, Relaxed) {
            self.opened.lock().unwrap()[self.upstream] += 1;
        }
        let mut rsp = Response::new(Empty::new());
        rsp.headers_mut().insert("upstream", self.upstream.into());
        ready(Ok(rsp))
    }
}

/// Both ways to the same destination.
struct Both {
    upstreams: Vec<Upstream>,
    discovery: Discovery,
    /// The sidecar, and a connection to it.
    _sidecar: Running,
    client: Client,
    publisher: Publisher<Destination>,
    embedded: Outbound<Connection>,
    opened: Opened,
}

impl Both {
    async fn start() -> Self {
        let mut upstreams = Vec::new();
        for number in 0..UPSTREAMS {
            let answer = move |_, _| async move { crate::support::answer(200, number.to_string()) };
            upstreams.push(Upstream::start(answer).await);
        }
        let addrs: Vec<_> = upstreams.iter().map(Upstream::addr).collect();
        let discovery = Discovery::default();
        let mut config = config([Role::Outbound]);
        // However busy the machine is.
        config.limits.pool_idle = Duration::from_secs(3_600);
        let sidecar = Running::discovering(config, &discovery);
        let client = Client::http1(sidecar.addr()).await;

        let (publisher, watch) = Watch::channel();
        let opened = Opened::default();
        let connect = {
            let opened = opened.clone();
            move |endpoint: &Endpoint| Connection {
                upstream: addrs.iter().position(|it| *it == endpoint.addr).unwrap(),
                is_open: Arc::default(),
                opened: opened.clone(),
            }
        };
        let embedded = Outbound::follow(watch, &Metrics::new(), connect);
        Self {
            upstreams,
            discovery,
            _sidecar: sidecar,
            client,
            publisher,
            embedded,
            opened,
        }
    }

    /// The upstreams that a request for `path` reaches, by the sidecar and without one.
    async fn send(&mut self, path: &str) -> (usize, usize) {
        let req = Request::get(path).header("host", "web:80");
        let req = req.body(Full::default()).unwrap();
        let reply = self.client.send(req).await.unwrap();
        (
            reply.text().parse().unwrap(),
            self.send_embedded(path).await,
        )
    }

    async fn send_embedded(&mut self, path: &str) -> usize {
        let req = Request::get(path).body(Empty::new()).unwrap();
        let rsp = self.embedded.call(req).await.unwrap();
        rsp.headers()["upstream"].to_str().unwrap().parse().unwrap()
    }

    /// Announces a destination, and waits until both obey it.
    async fn announce(&mut self, step: &Step, number: usize) {
        let addrs: Vec<_> = self.upstreams.iter().map(Upstream::addr).collect();
        let destination = step.destination(number, &addrs);
        self.discovery.set("web:80", destination.clone());
        self.publisher.publish(destination);
        let which = BACKENDS + number % 2;
        while self.send("/step").await != (which, which) {
            tokio::task::yield_now().await;
        }
    }

    /// Connections that were opened to the backends, by the sidecar and without one.
    fn connections(&self) -> ([usize; BACKENDS], [usize; BACKENDS]) {
        let opened = *self.opened.lock().unwrap();
        let by = std::array::from_fn(|number| self.upstreams[number].connections());
        (by, std::array::from_fn(|number| opened[number]))
    }
}

async fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut both = Both::start().await;
    let mut expected = [0; BACKENDS];
    let mut in_use = [None; BACKENDS];
    for (number, step) in steps.iter().enumerate() {
        both.announce(step, number).await;
        for (in_use, spec) in in_use.iter_mut().zip(&step.endpoints) {
            // A changed endpoint is another one, and so is one that was away.
            if *in_use != *spec {
                *in_use = None;
            }
        }
        for letter in &step.requests {
            let (sidecar, embedded) = both.send(&format!("/{letter}")).await;
            prop_assert_eq!(sidecar, embedded, "{:?}", step);
            if in_use[sidecar].is_none() {
                in_use[sidecar] = step.endpoints[sidecar];
                expected[sidecar] += 1;
            }
            prop_assert_eq!(both.connections(), (expected, expected), "{:?}", step);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_sidecar_and_a_program_without_one_follow_alike(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(check(steps))?;
    }
}

#[tokio::test]
async fn a_changed_protocol_or_identity_replaces_the_connections_in_both() {
    let same = EndpointSpec {
        h2: false,
        identity: None,
        pod: 0,
    };
    let step = |spec: EndpointSpec, weight| Step {
        endpoints: [Some(spec), None, None],
        rules: vec![('a', [weight, 0, 0])],
        requests: vec!['a', 'a'],
    };
    let mut both = Both::start().await;
    let h2 = EndpointSpec { h2: true, ..same };
    let identity = EndpointSpec {
        identity: Some(1),
        ..h2
    };
    for (number, (spec, weight, expected)) in [
        (same, 1, 1),
        (same, 2, 1),
        (h2, 2, 2),
        (h2, 3, 2),
        (identity, 3, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let step = step(spec, weight);
        both.announce(&step, number).await;
        for letter in &step.requests {
            assert_eq!(both.send(&format!("/{letter}")).await, (0, 0));
        }
        let expected = [expected, 0, 0];
        assert_eq!(both.connections(), (expected, expected));
    }
}
