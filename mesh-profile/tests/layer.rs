//! The layer's effect on requests.

use http::Request;
use mesh_profile::{Profile, ProfileHandle, ProfileLayer, Route};
use std::convert::Infallible;
use tower::{Layer, Service, ServiceExt, service_fn};

fn profile(name: &str) -> Profile {
    let json = format!(r#"{{"routes":[{{"name":"{name}","condition":{{"pathRegex":"/a"}}}}]}}"#);
    serde_json::from_str(&json).unwrap()
}

/// The name of the route that the service below sees.
async fn route_seen<S>(svc: &mut S, req: Request<()>) -> String
where
    S: Service<Request<()>, Response = String, Error = Infallible>,
{
    svc.ready().await.unwrap().call(req).await.unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "the service borrows nothing")]
fn layered(
    layer: ProfileLayer,
) -> impl Service<Request<()>, Response = String, Error = Infallible> + Clone {
    layer.layer(service_fn(async |req: Request<()>| {
        Ok(Route::of(&req).map_or_else(String::new, |route| route.name().to_owned()))
    }))
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

#[tokio::test]
async fn the_query_takes_no_part() {
    let mut svc = layered(ProfileLayer::new(profile("a")));
    assert_eq!(route_seen(&mut svc, get("/a?b=/c")).await, "a");
    assert_eq!(route_seen(&mut svc, get("http://host:80/a")).await, "a");
    assert_eq!(route_seen(&mut svc, get("/b")).await, "[DEFAULT]");
}

#[tokio::test]
async fn a_route_that_came_with_the_request_is_not_obeyed() {
    let mut svc = layered(ProfileLayer::new(profile("a")));
    let mut req = get("/b");
    req.extensions_mut()
        .insert(Route::new("of the server side"));
    assert_eq!(route_seen(&mut svc, req).await, "[DEFAULT]");
}

#[tokio::test]
async fn a_profile_holds_from_the_next_request_on_in_every_clone() {
    let handle = ProfileHandle::new(profile("old"));
    let mut svc = layered(ProfileLayer::watch(handle.clone()));
    let mut clone = svc.clone();
    assert_eq!(route_seen(&mut svc, get("/a")).await, "old");

    handle.set(profile("new"));
    assert_eq!(route_seen(&mut svc, get("/a")).await, "new");
    assert_eq!(route_seen(&mut clone, get("/a")).await, "new");
    assert_eq!(handle.get(), profile("new"));
}
