//! The reader of whole documents agrees with another that reads them quite differently.

use mesh_profile::{ProfileSpec, openapi};
use openapiv3::OpenAPI;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

mod support;

fn read(text: &str) -> ProfileSpec {
    let import = openapi::import(text, "api", &openapi::Options::default());
    import.unwrap().spec
}

#[test]
fn a_parsed_document_gives_the_profile_of_its_text() {
    let yaml = r"
openapi: 3.0.3
info: { title: a, version: '1' }
servers:
- url: https://{host}/api/{version}/
  variables: { host: { default: example.com }, version: { default: v3 } }
paths:
  x-note: nothing
  /b: { $ref: '#/paths/~1a~1{id}' }
  /c: { $ref: '#/paths/~1b' }
  /gone: { $ref: 'other.yaml#/a' }
  /a/{id}:
    x-linkerd-retryable: true
    x-linkerd-timeout: 1s
    get:
      responses:
        5XX: { description: x }
        4XX: { description: x, x-linkerd-failure: true }
        404: { description: x }
        409: { $ref: '#/components/responses/Odd' }
        default: { description: x }
    trace: { x-linkerd-retryable: false, x-linkerd-timeout: 2s, responses: {} }
  /upload:
    servers: [{ url: https://uploads.example.com }]
    post: { responses: { 200: { $ref: '#/components/responses/Odd' } } }
    put: { servers: [{ url: /put }], responses: {} }
components:
  responses:
    Odd: { description: x, x-linkerd-failure: true }
";
    let document: OpenAPI = serde_yaml::from_str(yaml).unwrap();
    let spec = ProfileSpec::from(&document);
    assert_eq!(spec.routes.len(), 8);
    assert_eq!(spec, read(yaml));
}

#[test]
fn references_that_lead_in_circles_end() {
    let document = json!({
        "openapi": "3.0.3",
        "info": { "title": "a", "version": "1" },
        "paths": { "/a": { "$ref": "#/paths/~1b" }, "/b": { "$ref": "#/paths/~1a" } },
    });
    let document: OpenAPI = serde_json::from_value(document).unwrap();
    assert_eq!(ProfileSpec::from(&document), ProfileSpec::default());
}

#[test]
fn a_timeout_that_is_none_is_left_to_the_profile_to_refuse() {
    let document = json!({
        "openapi": "3.0.3",
        "info": { "title": "a", "version": "1" },
        "paths": { "/a": { "get": { "responses": {}, "x-linkerd-timeout": "soon" } } },
    });
    let document: OpenAPI = serde_json::from_value(document).unwrap();
    let error = mesh_profile::Profile::try_from(ProfileSpec::from(&document)).unwrap_err();
    assert!(error.to_string().contains("GET /a"), "{error}");
}

#[test]
fn the_largest_document_is_read_alike() {
    let Some(text) = support::shared("github.openapi-3.0.json.gz") else {
        return;
    };
    let document: OpenAPI = serde_json::from_str(&text).unwrap();
    let spec = ProfileSpec::from(&document);
    assert_eq!(spec.routes.len(), 1223);
    assert_eq!(spec, read(&text));
}

fn extensions() -> impl Strategy<Value = Map<String, Value>> {
    let retryable = prop::option::of(prop_oneof![
        any::<bool>().prop_map(Value::from),
        Just(json!("yes"))
    ]);
    let timeout = prop::option::of(prop_oneof![Just(json!("300ms")), Just(json!(5))]);
    (retryable, timeout).prop_map(|(retryable, timeout)| {
        let mut members = Map::new();
        members.extend(retryable.map(|value| ("x-linkerd-retryable".into(), value)));
        members.extend(timeout.map(|value| ("x-linkerd-timeout".into(), value)));
        members
    })
}

fn servers() -> impl Strategy<Value = Value> {
    let url = prop::sample::select(vec![
        "https://example.com/v1/",
        "//example.com",
        "/{base}/x",
        "relative",
        ".",
        "https://{host}?q#f",
    ]);
    prop::collection::vec(url, 0..3).prop_map(|urls| {
        let variables = json!({ "base": { "default": "v2" } });
        let servers = urls.into_iter();
        servers
            .map(|url| json!({ "url": url, "variables": variables }))
            .collect()
    })
}

fn operation() -> impl Strategy<Value = Value> {
    let status = prop::sample::select(vec!["200", "404", "500", "4XX", "5XX", "default"]);
    let response = prop_oneof![
        Just(json!({ "description": "" })),
        any::<bool>().prop_map(|is| json!({ "description": "", "x-linkerd-failure": is })),
        Just(json!({ "$ref": "#/components/responses/Odd" })),
        Just(json!({ "$ref": "#/components/responses/None" })),
    ];
    let responses = prop::collection::btree_map(status, response, 0..4);
    (extensions(), servers(), responses).prop_map(|(mut members, servers, responses)| {
        members.insert("servers".into(), servers);
        members.insert("responses".into(), json!(responses));
        members.into()
    })
}

fn path_item() -> impl Strategy<Value = Value> {
    let method = prop::sample::select(vec![
        "delete", "get", "head", "options", "patch", "post", "put", "trace",
    ]);
    let operations = prop::collection::btree_map(method, operation(), 0..4);
    let item =
        (extensions(), servers(), operations).prop_map(|(mut members, servers, operations)| {
            members.insert("servers".into(), servers);
            members.extend(operations.into_iter().map(|(m, o)| (m.into(), o)));
            Value::from(members)
        });
    prop_oneof![
        6 => item,
        1 => Just(json!({ "$ref": "#/paths/~1a" })),
        1 => Just(json!({ "$ref": "#/paths/~1{b}.{c}" })),
        1 => Just(json!({ "$ref": "elsewhere.json" })),
    ]
}

proptest! {
    #[test]
    fn every_document_that_both_read_gives_one_profile(
        paths in prop::collection::btree_map(
            prop::sample::select(vec!["/", "/a", "/{b}.{c}", "/a/{b}:undelete", "/%2F/é"]),
            path_item(),
            0..4,
        ),
        servers in servers(),
        odd in any::<bool>(),
    ) {
        let text = json!({
            "openapi": "3.0.3",
            "info": { "title": "a", "version": "1" },
            "servers": servers,
            "paths": paths,
            "components": { "responses": { "Odd": { "description": "", "x-linkerd-failure": odd } } },
        })
        .to_string();
        let document: OpenAPI = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(ProfileSpec::from(&document), read(&text));
    }
}
