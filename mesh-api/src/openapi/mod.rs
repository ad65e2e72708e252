//! The API as an OpenAPI 3.0 document, made from the types themselves.

mod operations;
mod parameters;
mod schemas;

use self::{operations::operations, schemas::Schemas};
use serde_json::{Map, json};

/// Path of the document.
pub const PATH: &str = "/api/openapi.json";

/// Returns the OpenAPI 3.0 document of the API, in JSON, for a server with this version.
///
/// Schemas of parameters and bodies describe what is accepted, schemas of answers what is sent.
pub fn document(version: &str) -> String {
    let mut schemas = Schemas::default();
    let refused = schemas.answer::<crate::ErrorBody>();
    let refused = json!({
        "description": "The request was refused; the body has the reason.",
        "content": { "application/json": { "schema": refused } },
    });
    let mut paths = Map::new();
    for operation in operations(&mut schemas) {
        let path = paths
            .entry(operation.path.clone())
            .or_insert_with(|| json!({}));
        let method = operation.method;
        path[method] = operation.into_value(&refused);
    }
    let document = json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Controller of the mesh",
            "version": version,
            "description": "Questions to the controller of a mesh, and changes that it makes. Changes are \
                            accepted on the socket of the state folder only.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": schemas.into_components() },
    });
    document.to_string()
}
