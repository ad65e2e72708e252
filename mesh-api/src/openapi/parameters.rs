use super::schemas::{Schemas, write_plainly};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// Returns the parameters in the query of the request `Q`: its fields.
pub(super) fn query<Q: JsonSchema>() -> Vec<Value> {
    let mut request = Schemas::request::<Q>();
    write_plainly(&mut request);
    let required = request["required"].take();
    let is_required = |name: &str| {
        let names = required.as_array().into_iter().flatten();
        names.into_iter().any(|required| required == name)
    };
    let Value::Object(fields) = request["properties"].take() else {
        return Vec::new();
    };
    let parameters = fields.into_iter().map(|(name, mut schema)| {
        let description = match schema.as_object_mut() {
            Some(schema) => {
                // A parameter that is absent is absent from the query, too.
                schema.remove("nullable");
                schema.remove("description")
            }
            None => None,
        };
        let mut parameter = json!({
            "name": name,
            "in": "query",
            "required": is_required(&name),
            "schema": schema,
        });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    });
    parameters.collect()
}

/// Returns the parameters in a path, such as `/canaries/{namespace}/{name}`.
pub(super) fn path(path: &str) -> Vec<Value> {
    let names = path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let parameters = names.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    parameters.collect()
}
