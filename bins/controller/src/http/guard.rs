use super::ApiError;
use axum::{
    extract::Request,
    http::{
        HeaderMap, Method, StatusCode,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::{IpAddr, Ipv6Addr};

/// Lets nothing through that changes anything, or that was sent to another host.
///
/// The second matters because browsers can reach loopback: a page of a foreign site whose name
/// has been made to resolve to 127.0.0.1 is not foreign to the browser, but its Host tells.
pub(super) async fn read_only(request: Request, next: Next) -> Response {
    match refusal(&request) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}

fn refusal<B>(request: &axum::http::Request<B>) -> Option<ApiError> {
    let host = request.headers().get(HOST);
    let named = match (request.uri().authority(), host) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).ok(),
        (None, None) => None,
    };
    if !named.is_some_and(|named| is_local(named.host())) {
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "this API is for this machine: ask for localhost",
        ));
    }
    if is_of_another_site(request.headers()) {
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "this API is not for pages of other sites",
        ));
    }
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    (!reads).then(|| {
        ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this address is read-only: changes go through the socket controller.sock in the \
             state folder",
        )
    })
}

/// Returns true if a page of another origin makes the request. Links from anywhere may lead here:
/// the page that they come from does not see the answer.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(axum::http::HeaderValue::as_bytes);
    let is_link = text("sec-fetch-mode") == Some(b"navigate");
    let site = text("sec-fetch-site");
    if !is_link && matches!(site, Some(b"cross-site" | b"same-site")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let host = headers.get(HOST).map(axum::http::HeaderValue::as_bytes);
    origin.as_bytes().strip_prefix(b"http://") != host
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback(),
        Ok(IpAddr::V6(ip)) => ip == Ipv6Addr::LOCALHOST,
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn status(method: Method, host: Option<&str>) -> Option<u16> {
        let mut request = Request::builder().method(method).uri("/api/v1/version");
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let request = request.body(()).unwrap();
        refusal(&request).map(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn only_this_machine_may_look() {
        for host in [
            "localhost",
            "LOCALHOST:8084",
            "127.0.0.1:8084",
            "[::1]:8084",
        ] {
            assert_eq!(status(Method::GET, Some(host)), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "a b",
        ] {
            assert_eq!(status(Method::GET, Some(host)), Some(403), "{host}");
        }
        assert_eq!(status(Method::GET, None), Some(403));
    }

    #[test]
    fn pages_of_other_sites_may_not_look() {
        let refused = |headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/").header(HOST, "localhost:8085");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            refusal(&request.body(()).unwrap()).map(|refusal| refusal.status().as_u16())
        };
        assert_eq!(refused(&[("origin", "http://localhost:8085")]), None);
        for origin in [
            "null",
            "http://localhost:3000",
            "https://localhost:8085",
            "http://evil.example",
        ] {
            assert_eq!(refused(&[("origin", origin)]), Some(403), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            let mode = |mode| [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            assert_eq!(refused(&mode("no-cors")), Some(403));
            assert_eq!(refused(&mode("navigate")), None);
        }
        assert_eq!(refused(&[("sec-fetch-site", "same-origin")]), None);
    }

    #[test]
    fn nobody_may_change_anything() {
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            assert_eq!(status(method, Some("localhost")), Some(405));
        }
    }
}
