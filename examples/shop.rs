//! The little bookshop that the examples call: it has a replica that fails, and one that is slow.

use axum::{Router, http::StatusCode, routing::get};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::net::TcpListener;

/// Starts a replica of the bookshop on a port of its own. Of `fail_every` requests for a book, it
/// fails one; of 0, none.
///
/// # Panics
///
/// If there is no port left.
pub async fn replica(name: &'static str, fail_every: u32) -> SocketAddr {
    let asked = Arc::new(AtomicU32::new(0));
    let book = async move || match asked.fetch_add(1, Ordering::Relaxed) {
        n if fail_every > 0 && n % fail_every == 0 => (StatusCode::SERVICE_UNAVAILABLE, "again\n"),
        _ => (StatusCode::OK, name),
    };
    let shop = Router::new().route("/books/{id}", get(book));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, shop).await });
    addr
}
