//! Descriptions of a request, its peers and its route, as events carry them.

use crate::{Labels, Peer, RequestInit, layer::Point};
use http::{Request, header::HOST};
use mesh_core::{Attempt, Conn, Direction, Route};

pub(crate) fn source(point: &Point, conn: Option<&Conn>) -> Peer {
    let mut labels = point.source.clone();
    if let Some(identity) = conn.and_then(|conn| conn.identity.as_deref()) {
        let proven = [("tls", "true"), ("client_id", identity)];
        let proven = proven.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let others = labels.iter().filter(|(name, _)| name != "tls").cloned();
        labels = others.chain(proven).collect();
    }
    Peer {
        addr: conn.map(|conn| conn.peer),
        labels,
    }
}

pub(crate) fn destination(point: &Point, conn: Option<&Conn>, direction: Direction) -> Peer {
    let addr = point.endpoint.or_else(|| match direction {
        Direction::Inbound => conn.map(|conn| conn.original_dst.unwrap_or(conn.local)),
        Direction::Outbound => conn.and_then(|conn| conn.original_dst),
    });
    Peer {
        addr,
        labels: point.destination.clone(),
    }
}

pub(crate) fn number(attempt: Option<&Attempt>) -> u32 {
    attempt.map_or(1, Attempt::number)
}

pub(crate) fn route_labels(route: Option<&Route>, attempt: u32) -> Labels {
    let route = route.filter(|route| !route.is_default());
    let name = route.map(|route| ("route".to_owned(), route.name().to_owned()));
    let attempt = (attempt > 1).then(|| ("attempt".to_owned(), attempt.to_string()));
    name.into_iter().chain(attempt).collect()
}

pub(crate) fn request<B>(req: &Request<B>) -> RequestInit {
    let authority = match req.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => req.headers().get(HOST).and_then(|host| host.to_str().ok()),
    };
    RequestInit {
        method: req.method().clone(),
        scheme: req.uri().scheme_str().map(str::to_owned),
        authority: authority.unwrap_or_default().to_owned(),
        path: req.uri().path().to_owned(),
        query: None,
        version: Some(req.version()),
        headers: None,
    }
}
