//! A second source: a registry that lists instances of services with their health, as many do.

use mesh_control::{
    index::{Endpoints, Index},
    model::{Conditions, Kind, Members, Object, Pod, Port, Reference, Service, Target},
    source::{BoxError, BoxFuture, Event, Sink, Source},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use tokio::sync::watch;

/// One instance in the registry. It is known by its address.
#[derive(Clone, Debug, PartialEq)]
struct Instance {
    services: Vec<&'static str>,
    addr: SocketAddr,
    is_healthy: bool,
}

#[derive(Debug)]
struct Registry {
    instances: watch::Receiver<Vec<Instance>>,
}

impl Source for Registry {
    fn run(&self, sink: Sink) -> BoxFuture<'_, Result<(), BoxError>> {
        let mut instances = self.instances.clone();
        Box::pin(async move {
            let mut known = BTreeMap::new();
            loop {
                let listed = instances.borrow_and_update().clone();
                sink.send(events(&mut known, &listed));
                sink.ready();
                instances.changed().await?;
            }
        })
    }
}

/// The events that lead from the `known` instances to the `listed` ones.
fn events(known: &mut BTreeMap<String, Instance>, listed: &[Instance]) -> Vec<Event> {
    let name = |instance: &Instance| instance.addr.to_string();
    let now: BTreeMap<_, _> = listed.iter().map(|it| (name(it), it.clone())).collect();
    let names: BTreeSet<_> = listed.iter().flat_map(|it| &it.services).collect();
    let services = names.into_iter().map(|name| service(name));
    let mut events = vec![Event::Reset(Kind::Service, services.collect())];
    for (name, instance) in &now {
        if known.get(name) != Some(instance) {
            events.push(Event::Apply(pod(name, instance)));
        }
    }
    for gone in known.keys().filter(|name| !now.contains_key(*name)) {
        let reference = Reference::new(Kind::Pod, "legacy", gone.as_str());
        events.push(Event::Delete(reference));
    }
    *known = now;
    events
}

/// All services answer on port 80, whatever the port of their instances is.
fn service(name: &str) -> Object {
    let selector = [(format!("service-{name}").into(), "yes".into())].into();
    Service::new("legacy", name)
        .with_port(Port::new(80, Target::Name("http".into())))
        .with_members(Members::Selector(selector))
        .into()
}

fn pod(name: &str, instance: &Instance) -> Object {
    let labels = instance.services.iter();
    let labels = labels.map(|name| (format!("service-{name}").into(), "yes".into()));
    Pod {
        labels: labels.collect(),
        address: Some(instance.addr.ip()),
        ports: vec![mesh_control::model::PodPort {
            name: "http".into(),
            number: instance.addr.port(),
            protocol: None,
        }],
        conditions: Conditions {
            ready: instance.is_healthy,
            serving: instance.is_healthy,
            terminating: false,
        },
        ..Pod::new("legacy", name)
    }
    .into()
}

fn instance(services: &[&'static str], port: u16, is_healthy: bool) -> Instance {
    Instance {
        services: services.into(),
        addr: ([127, 0, 0, 1], port).into(),
        is_healthy,
    }
}

fn ports(endpoints: &Endpoints) -> Vec<u16> {
    endpoints.list.iter().map(|it| it.addr.port()).collect()
}

#[tokio::test]
async fn another_registry_feeds_the_same_index() {
    let index = Index::new("cluster.local");
    let (registry, instances) = watch::channel(vec![
        instance(&["billing"], 1, true),
        instance(&["billing", "ledger"], 2, true),
    ]);
    let source = Registry { instances };
    let sink = index.sink();
    let run = tokio::spawn(async move { source.run(sink).await });
    index.ready().await;

    // Another source knows a service of its own.
    let other = index.sink();
    other.apply(Service::new("shop", "web").with_port(Port::new(80, Target::Number(8080))));
    other.ready();
    let mut billing = index.subscribe_endpoints("billing.legacy:80", "shop");
    let mut ledger = index.subscribe_endpoints("ledger.legacy:80", "shop");
    assert_eq!(ports(&*billing.next().await), [1, 2]);
    assert_eq!(ports(&*ledger.next().await), [2]);

    registry.send_replace(vec![
        instance(&["billing"], 1, false),
        instance(&["billing", "ledger"], 2, true),
        instance(&["billing"], 3, true),
    ]);
    assert_eq!(ports(&*billing.next().await), [2, 3]);
    assert!(ledger.try_next().is_none());

    registry.send_replace(vec![instance(&["billing"], 3, true)]);
    assert_eq!(ports(&*billing.next().await), [3]);
    assert!(!ledger.next().await.exists);
    assert!(
        index.apex("web.shop:80", "").service.is_some(),
        "left alone"
    );

    drop(registry);
    assert!(run.await.unwrap().is_err());
    assert_eq!(ports(&billing.current()), [3], "frozen");
}
