//! Scripts, styles and the icon, included in the program.

use super::App;
use axum::{
    Router,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    routing::get,
};

/// Path of the style sheet. Paths of what we change change with the version of the program.
pub(super) const STYLE: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/style.css");
/// Path of the script that keeps a page up to date.
pub(super) const LIVE: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/live.js");
/// Path of the script of the tap.
pub(super) const TAP: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/tap.js");
/// Path of the library that changes a page into another and leaves alone what is the same.
pub(super) const MORPH: &str = "/assets/idiomorph-0.7.4.min.js";
/// Path of the icon.
pub(super) const ICON: &str = "/assets/icon.svg";

const FILES: [(&str, &str, &str); 6] = [
    (STYLE, "text/css", include_str!("assets/style.css")),
    (LIVE, "text/javascript", include_str!("assets/live.js")),
    (TAP, "text/javascript", include_str!("assets/tap.js")),
    (
        MORPH,
        "text/javascript",
        include_str!("assets/idiomorph-0.7.4.min.js"),
    ),
    (
        "/assets/idiomorph-LICENSE.txt",
        "text/plain",
        include_str!("assets/idiomorph-LICENSE.txt"),
    ),
    (ICON, "image/svg+xml", include_str!("assets/icon.svg")),
];

pub(super) fn routes() -> Router<App> {
    let mut router = Router::new();
    for (path, kind, text) in FILES {
        let headers: [(HeaderName, String); 3] = [
            (CONTENT_TYPE, format!("{kind}; charset=utf-8")),
            (X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
            (CACHE_CONTROL, "no-cache".into()),
        ];
        router = router.route(path, get(move || std::future::ready((headers, text))));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_load_is_small() {
        let all: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
        assert!(all < 60_000, "{all} bytes");
    }
}
