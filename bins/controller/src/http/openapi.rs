use super::App;
use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use mesh_api::openapi;

pub(super) fn routes() -> Router<App> {
    Router::new().route(openapi::PATH, get(document))
}

async fn document(State(app): State<App>) -> impl IntoResponse {
    let document = openapi::document(&app.about.version);
    ([(CONTENT_TYPE, "application/json")], document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api;
    use std::collections::BTreeSet;

    /// Every path of a router, as its `Debug` form shows them.
    fn paths<S>(router: &Router<S>) -> BTreeSet<String> {
        let text = format!("{router:?}");
        let texts = text.split('"').skip(1).step_by(2);
        texts
            .filter(|text| text.starts_with("/api"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_document_has_the_paths_of_the_router() {
        let document: serde_json::Value = serde_json::from_str(&openapi::document("1")).unwrap();
        let documented = document["paths"].as_object().unwrap();
        let documented: BTreeSet<String> = documented.keys().cloned().collect();
        assert_eq!(paths(&api()), documented);
        assert!(documented.len() > 10);
    }
}
