//! A whole outbound sidecar: the program behind it calls `http://books/`, and this decides where
//! that is, how long it may take, and whether it is tried again.
//!
//! Its configuration comes by a watch, here of a file; with `Control` instead of `FileSource` it would
//! be a controller's.
//!
//! ```console
//! $ cargo run -p mesh-examples --example sidecar
//! /books/1: 200 OK
//! ...
//! ```

use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use mesh_balance::Balance;
use mesh_discover::{Destination, FileSource, Watch};
use mesh_profile::{Profile, ProfileHandle, ProfileLayer};
use mesh_retry::{Budget, ReplayBody, RetryLayer};
use mesh_split::Split;
use mesh_stats::Stats;
use mesh_tap::{Direction, Fault, Filter, Tap};
use mesh_timeout::TimeoutLayer;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt};

type Body = ReplayBody<Incoming>;

/// Serves programs that use us as their HTTP proxy, for one destination.
async fn sidecar(listener: TcpListener, mut books: Watch<Destination>, tap: Tap) {
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let profile = ProfileHandle::new(Profile::default());
    let budget = Budget::default();
    let stats = Stats::new();
    let leaf = Balance::new();
    let endpoints = leaf.handle();
    let split = Split::new([("books", leaf, 1)]).expect("a leaf with a weight");

    let stack = ServiceBuilder::new()
        // The only place where an error becomes a response.
        .map_result(|result: Result<_, BoxError>| match result {
            Ok(rsp) => Ok::<_, BoxError>(Response::map(rsp, Either::Left)),
            Err(error) => Ok(respond(&error)),
        })
        .layer(ProfileLayer::watch(profile.clone())) // which route is this?
        .layer(stats.effective()) // what the program sees of it
        .layer(TimeoutLayer::per_route()) // one deadline, retries included
        .layer(RetryLayer::per_route(budget.clone())) // again, as far as the budget allows
        .layer(stats.actual()) // what each attempt came to
        .layer(tap.layer().direction(Direction::Outbound)) // watched, if anybody wants to
        .service(split); // which leaf, then which endpoint

    // The configuration changes; the stack stays, with its connections and counters.
    tokio::spawn(async move {
        while let Some(destination) = books.changed().await {
            budget.update(destination.budget());
            profile.set(destination.profile().clone());
            let backends = destination.backends().iter();
            let addrs = backends.flat_map(|backend| &**backend.endpoints());
            endpoints.update(addrs.map(|endpoint| endpoint.addr), |addr| {
                http.clone().map_request(move |mut req: Request<Body>| {
                    let path = req.uri().path_and_query().map_or("/", |path| path.as_str());
                    *req.uri_mut() = Uri::try_from(format!("http://{addr}{path}")).expect("a URI");
                    req
                })
            });
        }
    });
    while let Ok((socket, _)) = listener.accept().await {
        let service = TowerToHyperService::new(stack.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

fn respond<B>(error: &BoxError) -> Response<Either<B, Full<Bytes>>> {
    let status = match Fault::of(&**error) {
        Some(Fault::Elapsed | Fault::NoEndpoint) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut rsp = Response::new(Either::Right(Full::from(format!("{error}\n"))));
    *rsp.status_mut() = status;
    rsp
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // The world: two replicas, of which one fails half of what it is asked, and a profile.
    let replicas = [
        mesh_examples::replica("good\n", 0).await,
        mesh_examples::replica("bad\n", 2).await,
    ];
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/books.profile.yaml");
    let books = FileSource::new("books", replicas)
        .with_profile(profile)
        .watch()?;
    let tap = Tap::new();
    let mut failed = tap.subscribe(Filter::new().status(500..).limit(3), 100);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = listener.local_addr()?;
    tokio::spawn(sidecar(listener, books, tap));

    // The program: it names its bookshop, and the proxy it was told to use.
    let socket = TokioIo::new(tokio::net::TcpStream::connect(proxy).await?);
    let (mut program, connection) = hyper::client::conn::http1::handshake(socket).await?;
    tokio::spawn(connection);
    for id in 0..20 {
        let req = Request::get(format!("http://books/books/{id}")).body(Empty::<Bytes>::new())?;
        program.ready().await?;
        let rsp = program.send_request(req).await?;
        println!("/books/{id}: {}", rsp.status());
        rsp.into_body().collect().await?;
    }
    while let Some(event) = failed.try_next() {
        println!("{event}");
    }
    Ok(())
}
