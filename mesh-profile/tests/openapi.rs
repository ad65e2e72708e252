//! Profiles from whole documents.

use mesh_profile::{
    Profile,
    openapi::{Error, Import, Options, Severity, import},
};
use serde_json::json;
use support::shared;

mod support;

fn read(text: &str) -> Import {
    import(text, "api", &Options::default()).unwrap()
}

fn refused(text: &str) -> String {
    let error: Error = import(text, "api", &Options::default()).unwrap_err();
    error.to_string()
}

/// `NAME REGEX` of each route.
fn routes(import: &Import) -> Vec<String> {
    let routes = import.spec.routes.iter();
    routes
        .map(|route| {
            let regex = route.condition.path_regex.as_deref().unwrap();
            format!("{} {regex}", route.name)
        })
        .collect()
}

fn diagnostics(import: &Import) -> Vec<String> {
    import.diagnostics.iter().map(|d| d.to_string()).collect()
}

/// Compares with a file under `tests/golden`, or rewrites it when `BLESS` is set.
fn golden(name: &str, actual: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(expected, actual, "{path}; run with BLESS=1 to accept");
}

fn manifest(service: &str, namespace: &str, import: &Import) -> String {
    let manifest = json!({
        "apiVersion": "linkerd.io/v1alpha2",
        "kind": "ServiceProfile",
        "metadata": {
            "name": format!("{service}.{namespace}.svc.cluster.local"),
            "namespace": namespace,
        },
        "spec": import.spec,
    });
    mesh_yaml::to_string(&manifest).unwrap()
}

#[test]
fn a_swagger_document_becomes_what_linkerd_makes_of_it() {
    let import = read(include_str!("golden/pets.swagger.yaml"));
    // Linkerd says nothing of it, and leaves it out as well.
    assert_eq!(
        diagnostics(&import),
        [
            "api:3:1: note: paths begin with /v1, from `basePath`; --base-path replaces it",
            "api:8:7: warning: `x-linkerd-retryable` is neither true nor false and was left out",
        ]
    );
    golden("pets.profile.yaml", &manifest("pets", "zoo", &import));
}

#[test]
fn what_swagger_does_not_know_leaves_linkerds_profile_as_it_is() {
    let import = read(include_str!("golden/odd.swagger.yaml"));
    assert_eq!(
        diagnostics(&import),
        [
            "api: warning: path \"/tab\\t, which is escaped, and so is é's neighbour 😀: both of them on lines  with  blanks\" matches no request, as clients send '\\t' as %09",
            "api: warning: path \"/two\\nlines\" matches no request, as clients send '\\n' as %0A",
            "api:2:1: warning: \"basepath\" is read as `basePath`",
            "api:2:1: note: paths begin with /v1, from `basePath`; --base-path replaces it",
            "api:4:3: warning: path \"/reports/{year}/a report with a title that is long enough to be continued on the next line/{a}.{b}\" matches no request, as clients send ' ' as %20",
            "api:5:5: warning: \"GET\" is read as `get`",
            "api:7:7: warning: unknown extension `X-Linkerd-Timeout`, did you mean `x-linkerd-timeout`?",
            "api:8:65: warning: response `5XX` counts in OpenAPI 3 only",
            "api:9:4: warning: path \"/colon: ''quoted'', and long enough to be continued, too; so are its neighbours here {id}\" matches no request, as clients send ' ' as %20",
            "api:18:4: warning: path \"/ \" matches no request, as clients send ' ' as %20",
            "api:19:3: warning: method `trace` counts in OpenAPI 3 only",
            "api:19:32: warning: the operation is null, not an object, and was left out",
            "api:20:3: warning: `x-linkerd-retryable` of a path counts in OpenAPI 3 only",
            "api:20:3: warning: `x-linkerd-timeout` of a path counts in OpenAPI 3 only",
            "api:23:17: warning: `servers` counts in OpenAPI 3 only",
            "api:24:14: warning: `x-linkerd-retryable` is neither true nor false and was left out",
            "api:24:43: warning: `x-linkerd-timeout` is not a duration like 300ms and was left out",
            "api:26:5: warning: `$ref` of a path counts in OpenAPI 3 only",
            "api:27:3: warning: path \"no/slash\" does not begin with a slash",
            "api:30:3: warning: `servers` counts in OpenAPI 3 only",
        ]
    );
    golden("odd.profile.yaml", &manifest("odd", "zoo", &import));
}

#[test]
fn json_and_yaml_say_the_same() {
    let yaml = include_str!("golden/pets.swagger.yaml");
    let value: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
    let json = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(read(&json).spec, read(yaml).spec);
}

#[test]
fn what_linkerd_leaves_out_is_used() {
    let import = read(
        r"
openapi: 3.1.0
servers:
- url: https://{host}/api/{version}/
  variables: { host: { default: example.com }, version: { default: v3 } }
- url: /other
paths:
  /a/{id}:
    x-linkerd-retryable: true
    x-linkerd-timeout: 1s
    get: { responses: { 5XX: {}, 4XX: { x-linkerd-failure: true }, 404: {}, default: {} } }
    trace: { x-linkerd-retryable: false, x-linkerd-timeout: 2s }
  /b:
    $ref: '#/components/pathItems/B'
    put: {}
  /c:
    $ref: '#/paths/~1b'
  /upload:
    servers: [{ url: https://uploads.example.com }]
    post: { responses: { 200: { $ref: '#/components/responses/Odd' } } }
components:
  pathItems:
    B: { get: { x-linkerd-timeout: 3s }, put: { x-linkerd-retryable: true } }
  responses:
    Odd: { x-linkerd-failure: true }
",
    );
    assert_eq!(
        diagnostics(&import),
        ["api:4:3: note: paths begin with /api/v3, from the first server; --base-path replaces it"]
    );
    golden("extended.profile.yaml", &manifest("x", "default", &import));
}

#[test]
fn a_variable_without_a_default_is_told_wherever_its_server_stands() {
    let import = read(
        "openapi: 3.0.0\nservers: [{url: '/{a}'}]\npaths:\n  /a:\n    servers: [{url: '/{b}'}]\n    \
         get:\n      servers: [{url: '/{c}'}]\n",
    );
    assert_eq!(routes(&import), ["GET /{c}/a /[^/]*/a"]);
    assert_eq!(
        diagnostics(&import),
        [
            "api:2:12: warning: a variable in \"/{a}\" has no default, and matches anything",
            "api:2:12: note: paths begin with /{a}, from the first server; --base-path replaces it",
            "api:5:16: warning: a variable in \"/{b}\" has no default, and matches anything",
            "api:7:18: warning: a variable in \"/{c}\" has no default, and matches anything",
        ]
    );
}

#[test]
fn a_base_path_from_the_command_line_wins() {
    let options = Options {
        base_path: Some("/v9/".into()),
        ..Options::default()
    };
    let import = import(
        "openapi: 3.0.0\nservers: [{url: /v1}]\npaths: {/a: {get: {}}, /: {put: {}}}",
        "api",
        &options,
    )
    .unwrap();
    assert_eq!(routes(&import), ["PUT /v9/ /v9/", "GET /v9/a /v9/a"]);
    assert_eq!(diagnostics(&import), [""; 0]);
}

#[test]
fn every_loss_has_its_place() {
    let text = r##"{
  "openapi": "1.2",
  "paths": {
    "x-note": {},
    "no-slash": {},
    "/a": {
      "gett": {},
      "POST": {},
      "put": null,
      "get": {
        "x-linkerd-retryable": "yes",
        "x-linkerd-timeout": 5,
        "x-linkerd-retyrable": true,
        "responses": {"200": {}, "abc": {}, "999": {}}
      }
    },
    "/b": [],
    "/c": {"$ref": "other.json#/x"},
    "/d": {"$ref": "#/definitions/none"}
  }
}"##;
    let import = read(text);
    assert_eq!(routes(&import), ["GET /a /a", "POST /a /a"]);
    assert_eq!(
        diagnostics(&import),
        [
            r#"api:2:4: warning: version "1.2" is read as if it were 2.0 or 3.1"#,
            r#"api:5:6: warning: path "no-slash" does not begin with a slash"#,
            r#"api:7:8: warning: "gett" is not a known method, did you mean `get`?"#,
            r#"api:8:8: warning: "POST" is read as `post`"#,
            "api:9:8: warning: the operation is null, not an object, and was left out",
            "api:11:10: warning: `x-linkerd-retryable` is neither true nor false and was left out",
            "api:12:10: warning: `x-linkerd-timeout` is not a duration like 300ms and was left out",
            "api:13:10: warning: unknown extension `x-linkerd-retyrable`, did you mean `x-linkerd-retryable`?",
            r#"api:14:35: warning: operation GET /a: response "abc" is not a status code"#,
            r#"api:14:46: warning: operation GET /a: response "999" is not a status code"#,
            "api:17:6: warning: the path is a list, not an object, and was left out",
            r#"api:18:13: warning: `$ref` "other.json#/x" leads out of the document and was not followed"#,
            "api:19:13: warning: `$ref` leads to nothing usable: #/definitions/none",
        ]
    );

    let strict = Options {
        strict: true,
        ..Options::default()
    };
    let error = mesh_profile::openapi::import(text, "api", &strict).unwrap_err();
    assert_eq!(error.diagnostics().len(), 13);
}

#[test]
fn yaml_has_places_too() {
    let import = read("openapi: 3.0.1\npaths:\n  /a:\n    get:\n      x-linkerd-retryable: 7\n");
    assert_eq!(import.diagnostics[0].place(), Some((5, 7)));
    assert_eq!(import.diagnostics[0].severity(), Severity::Warning);
}

#[test]
fn an_alias_changes_nothing_of_what_stands_beside_it() {
    let text = "openapi: 3.0.1\npaths:\n  /a: {$ref: '#/paths/~1b'}\n  /b: {gett: {}, get: {}}\n";
    let plain = read(text);
    let aliased = read(&format!("{text}x-a: &a {{b: 1}}\nx-c: {{<<: *a}}\n"));
    assert_eq!(routes(&plain), ["GET /a /a", "GET /b /b"]);
    assert_eq!(aliased.spec, plain.spec);
    assert_eq!(aliased.diagnostics, plain.diagnostics);
}

#[test]
fn references_that_lead_in_circles_end() {
    let import = read(
        "openapi: 3.0.1\npaths:\n  /a: {$ref: '#/paths/~1b'}\n  /b: {$ref: '#/paths/~1a', get: {}}\n",
    );
    assert_eq!(routes(&import), ["GET /a /a", "GET /b /b"]);
    assert!(!import.diagnostics.is_empty());
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    for (text, message) in [
        (
            "{\"swagger\": \"2.0\", \"paths\": {\"/a\": {}, \"/a\": {}}}",
            "api:1:41: duplicate key \"/a\"; the first is in line 1",
        ),
        (
            "swagger: '2.0'\npaths:\n  /a: {}\n  /a: {}\n",
            "api:4:3: duplicate key \"/a\"; the first is in line 3",
        ),
        (
            "paths:\n  /a:\n    get: {responses: {200: {}}}\n    get: {}\n",
            "api:4:5: duplicate key \"get\"; the first is in line 3",
        ),
        (
            "paths:\n  /a:\n    get:\n      responses:\n        200: {}\n        200: {x-linkerd-failure: true}\n",
            "api:6:9: operation GET /a: two responses \"200\", and only one is a failure",
        ),
        (
            "{\"paths\": {\"/a\": {\"get\": {\"responses\": {\"200\": {\"$ref\": \"#/responses/A\"}}}}}, \
             \"responses\": {\"A\": {}, \"A\": {\"x-linkerd-failure\": true}}}",
            "api:1:50: operation GET /a: two responses \"A\", and only one is a failure",
        ),
        (
            "{\n  \"paths\": {\n    \"/a\": ]\n}",
            "api:3:11: this is not JSON: expected value",
        ),
        ("<html>\n<body>: :\n- x", "api:"),
        (
            "hello",
            "api:1:1: this is not an OpenAPI document: it is not an object",
        ),
        ("", "api:1:1: this is not an OpenAPI document: "),
        ("[1, 2]", "api:1:1: this is not an OpenAPI document: "),
        (
            "apiVersion: v1\nkind: Service\n",
            "api:1:1: this is not an OpenAPI document: it has neither `openapi` nor `swagger` nor `paths`; it begins with `apiVersion`, `kind`",
        ),
        (
            "swagger: '2.0'\npaths: {}\n---\nswagger: '2.0'\n",
            "api:3:1: a second document begins here",
        ),
        (
            "swagger: '2.0'\npaths:\n  /a:\n    get:\n      x-linkerd-timeout: 5 s\n",
            "api:5:7: operation GET /a: x-linkerd-timeout: invalid duration \"5 s\"",
        ),
    ] {
        let error = refused(text);
        assert!(error.starts_with(message), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_document_without_paths_gives_an_empty_profile() {
    let import = read("openapi: 3.1.0\nwebhooks: {}\n");
    assert_eq!(manifest("a", "b", &import).lines().last(), Some("spec: {}"));
}

#[test]
fn braces_may_be_yaml_too() {
    let import = read("{swagger: '2.0', paths: {/a: {get: {}}}}");
    assert_eq!(routes(&import), ["GET /a /a"]);
}

#[test]
fn the_workshops_documents_give_the_workshops_profiles() {
    for service in ["authors", "books", "webapp"] {
        let Some(text) = shared(&format!("booksapp-{service}.swagger.yaml")) else {
            return;
        };
        let import = import(
            &text,
            service,
            &Options {
                strict: true,
                ..Options::default()
            },
        );
        golden(
            &format!("booksapp-{service}.profile.yaml"),
            &manifest(service, "booksapp", &import.unwrap()),
        );
    }
}

#[test]
fn keys_with_a_query_are_routes_of_their_paths() {
    let import = read(
        "openapi: 3.0.0\npaths:\n  /v1/only?beta=true:\n    get: {x-linkerd-retryable: true}\n  \
         /v1/only:\n    get: {x-linkerd-timeout: 2s, responses: {200: {}}}\n    put: {}\n  \
         /v1/only{?page}:\n    get: {}\n",
    );
    assert_eq!(
        routes(&import),
        ["GET /v1/only?beta=true /v1/only", "PUT /v1/only /v1/only"]
    );
    let route = &import.spec.routes[0];
    assert!(!route.is_retryable);
    assert_eq!(route.timeout, None);
    assert!(route.response_classes.is_empty());
    assert_eq!(
        diagnostics(&import),
        [
            r#"api:3:3: warning: routes match a path, so "?beta=true" has no effect in "/v1/only?beta=true""#,
            "api:5:3: warning: GET /v1/only matches the same requests as GET /v1/only?beta=true, and \
             shares its route; it is not retryable, as only one of them is; it has no timeout, as \
             only one of them has one; responses count as those of the first",
            r#"api:8:3: warning: routes match a path, so "{?page}" has no effect in "/v1/only{?page}""#,
            "api:8:3: warning: GET /v1/only{?page} matches the same requests as GET \
             /v1/only?beta=true, and shares its route",
        ]
    );
}

#[test]
fn keys_with_a_fragment_share_one_route_with_the_longest_timeout() {
    let import = read(
        "swagger: '2.0'\npaths:\n  '/#X-Amz-Target=B': {post: {x-linkerd-timeout: 900ms}}\n  \
         '/#X-Amz-Target=A': {post: {x-linkerd-timeout: 1s}}\n",
    );
    assert_eq!(routes(&import), ["POST /#X-Amz-Target=B /"]);
    assert_eq!(import.spec.routes[0].timeout.as_deref(), Some("1s"));
    assert_eq!(import.diagnostics.len(), 3);
}

#[test]
fn a_base_path_without_its_slash_matches_requests_all_the_same() {
    for (base, expected) in [("v2/", "/v2/a"), ("//api//", "/api/a")] {
        let import = read(&format!(
            "swagger: '2.0'\nbasePath: {base}\npaths: {{/a: {{get: {{}}}}}}"
        ));
        assert_eq!(routes(&import), [format!("GET {expected} {expected}")]);
        let note = &diagnostics(&import)[0];
        assert!(note.starts_with("api:2:1: note: `basePath` "), "{note}");
    }
    let options = Options {
        base_path: Some("v3".into()),
        ..Options::default()
    };
    let import = import("swagger: '2.0'\npaths: {/a: {get: {}}}", "api", &options).unwrap();
    assert_eq!(routes(&import), ["GET /v3/a /v3/a"]);
}

#[test]
fn characters_that_requests_do_not_have_are_told() {
    let import =
        read("swagger: '2.0'\npaths: {/a b: {get: {}}, /é: {get: {}}, '/{c d}': {get: {}}}");
    assert_eq!(
        routes(&import),
        ["GET /a b /a b", "GET /{c d} /[^/]*", "GET /é /é"]
    );
    assert_eq!(
        diagnostics(&import),
        [
            r#"api:2:9: warning: path "/a b" matches no request, as clients send ' ' as %20"#,
            r#"api:2:26: warning: path "/é" matches no request, as clients send 'é' as %C3%A9"#,
        ]
    );
}

#[test]
fn methods_of_openapi_3_2_have_routes() {
    let text = "openapi: 3.2.0\npaths:\n  /a:\n    query: {}\n    additionalOperations:\n      \
                COPY: {x-linkerd-timeout: 1s}\n      post: {}\n      'not one': {}\n  /b: {$ref: '#/paths/~1a'}\n";
    let import = read(text);
    assert_eq!(
        routes(&import),
        [
            "QUERY /a /a",
            "COPY /a /a",
            "POST /a /a",
            "QUERY /b /b",
            "COPY /b /b",
            "POST /b /b"
        ]
    );
    assert_eq!(import.spec.routes[1].timeout.as_deref(), Some("1s"));
    assert_eq!(
        diagnostics(&import),
        [
            r#"api:7:7: warning: "post" is read as `POST`"#,
            r#"api:8:8: warning: "not one" is not an HTTP method and was left out"#,
        ]
    );
    let profile = Profile::try_from(import.spec).unwrap();
    assert_eq!(profile.routes().len(), 6);

    let swagger = read(&text.replace("openapi: 3.2.0", "swagger: '2.0'"));
    assert_eq!(routes(&swagger), [""; 0]);
    assert!(
        diagnostics(&swagger)
            .contains(&"api:3:3: warning: method `query` counts in OpenAPI 3 only".to_owned())
    );
}

#[test]
fn duplicate_keys_that_change_nothing_are_told_and_refused_under_strict() {
    let strict = Options {
        strict: true,
        ..Options::default()
    };
    let yaml = "openapi: 3.0.0\ninfo:\n  title: a\n  title: b\npaths:\n  /a:\n    get:\n      \
                summary: x\n      summary: y\n      responses:\n        200: {}\n        200: {}\n\
                components:\n  schemas: [{a: 1, b: {c: 1, c: 2}, a: 3}]\n";
    let import = read(yaml);
    assert_eq!(routes(&import), ["GET /a /a"]);
    let expected = [
        r#"api:4:3: warning: duplicate key "title"; the last one counts"#,
        r#"api:9:7: warning: duplicate key "summary"; the last one counts"#,
        r#"api:12:9: warning: duplicate key "200"; the last one counts"#,
        r#"api:14:30: warning: duplicate key "c"; the last one counts"#,
        r#"api:14:37: warning: duplicate key "a"; the last one counts"#,
    ];
    assert_eq!(diagnostics(&import), expected);
    let error = mesh_profile::openapi::import(yaml, "api", &strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        expected.join("\n").replace(" warning:", "")
    );

    let json = r#"{"openapi": "3.0.0", "info": {"a": 1, "a": 2}, "paths": {"/a": {"get": {}}}}"#;
    assert_eq!(routes(&read(json)), ["GET /a /a"]);
    let error = mesh_profile::openapi::import(json, "api", &strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"api:1:40: duplicate key "a"; the last one counts"#
    );
}

/// Every operation of a document, read by another parser.
fn operations(text: &str) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut sorted: Vec<_> = paths.iter().collect();
    sorted.sort_by_key(|(path, _)| *path);
    let methods = [
        "delete", "get", "head", "options", "patch", "post", "put", "trace",
    ];
    sorted
        .into_iter()
        .flat_map(|(path, item)| {
            methods
                .iter()
                .filter(|method| item.get(method).is_some())
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn the_largest_documents_are_read_whole() {
    for (name, count) in [
        ("github.openapi-3.0.json.gz", 1223),
        ("kubernetes-1.13.swagger-2.0.json.gz", 1014),
    ] {
        let Some(text) = shared(name) else { return };
        let import = read(&text);
        assert_eq!(import.spec.routes.len(), count);
        let names: Vec<_> = import.spec.routes.iter().map(|r| r.name.clone()).collect();
        assert_eq!(names, operations(&text));
        assert_eq!(diagnostics(&import), [""; 0], "{name}");
        let profile = Profile::try_from(import.spec.clone()).unwrap();
        assert_eq!(profile.routes().len(), count);
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[a-z#/~$é ]{0,6}".prop_map(Into::into),
            Just("#/paths/~1a".into()),
        ];
        let key = prop_oneof![
            "[a-z/]{0,3}",
            prop::sample::select(vec![
                "paths",
                "/a",
                "/a?c",
                "/ #",
                "query",
                "additionalOperations",
                "/{b}",
                "get",
                "put",
                "$ref",
                "responses",
                "200",
                "5XX",
                "servers",
                "url",
                "swagger",
                "openapi",
                "components",
                "basePath",
                "x-linkerd-timeout",
                "x-linkerd-failure",
            ])
            .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(6, 60, 5, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                6 => prop::collection::vec((key.clone(), inner), 0..5)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(document in json(), cut in 0_usize..400) {
            let text = document.to_string();
            let _ = import(&text, "api", &Options::default());
            let text: String = text.chars().take(cut).collect();
            let _ = import(&text, "api", &Options::default());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[-\\{\\}a-z:/\n '\"#&*!|]{0,80}") {
            let _ = import(&text, "api", &Options::default());
        }

        #[test]
        fn what_is_read_compiles(document in json()) {
            if let Ok(import) = import(&document.to_string(), "api", &Options::default()) {
                Profile::try_from(import.spec).unwrap();
            }
        }
    }
}
