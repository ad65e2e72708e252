use mesh_discover::{Backend, Destination, Endpoint, Profile, Publisher, Watch};
use mesh_profile::{ProfileSpec, RequestMatchSpec, RouteSpec};
use mesh_proxy::Discover;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// A controller that a test plays.
#[derive(Clone, Default)]
pub struct Discovery(Arc<Mutex<HashMap<String, Publisher<Destination>>>>);

impl Discovery {
    /// Sets the destination of `authority` and notifies its followers.
    pub fn set(&self, authority: &str, destination: Destination) {
        let mut known = self.0.lock().unwrap();
        let new = || Watch::channel().0;
        let publisher = known.entry(authority.to_owned()).or_insert_with(new);
        publisher.publish(destination);
    }

    /// Goes away for good.
    pub fn die(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Discover for Discovery {
    fn destination(&self, authority: &str) -> Watch<Destination> {
        let mut known = self.0.lock().unwrap();
        let publisher = known.entry(authority.to_owned()).or_insert_with(|| {
            let publisher = Watch::channel().0;
            publisher.publish(Destination::unknown(authority));
            publisher
        });
        publisher.watch()
    }
}

/// `name` (`fqdn:port`) with one leaf at these addresses.
pub fn destination(name: &str, profile: ProfileSpec, addrs: &[SocketAddr]) -> Destination {
    let backend = Backend::new(name, addrs.iter().map(|addr| endpoint(*addr)));
    Destination::named(name, name)
        .with_profile(Profile::compile_lenient(profile).0)
        .with_backend(backend)
}

pub fn endpoint(addr: SocketAddr) -> Endpoint {
    let labels = BTreeMap::from([
        ("deployment".to_owned(), "books".to_owned()),
        ("namespace".to_owned(), "shop".to_owned()),
    ]);
    Endpoint::new(addr).with_labels(labels)
}

/// A profile with the one route `GET /books`, changed as the test wants it.
pub fn profile(change: impl FnOnce(&mut RouteSpec)) -> ProfileSpec {
    let mut route = RouteSpec {
        name: "GET /books".into(),
        condition: RequestMatchSpec::path_regex("/books"),
        ..RouteSpec::default()
    };
    change(&mut route);
    ProfileSpec {
        routes: vec![route],
        ..ProfileSpec::default()
    }
}
