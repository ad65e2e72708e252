//! The OpenAPI document is valid, and describes what the types read and write.

use mesh_api::*;
use openapiv3::{OpenAPI, ReferenceOr};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

fn parsed() -> OpenAPI {
    serde_json::from_str(&openapi::document("1.2.3")).unwrap()
}

fn document() -> Value {
    serde_json::from_str(&openapi::document("1")).unwrap()
}

/// Names of the parameters in the query of `GET path`.
fn parameters(path: &str) -> BTreeSet<String> {
    let document = document();
    let parameters = document["paths"][path]["get"]["parameters"].as_array();
    let parameters = parameters.into_iter().flatten();
    let names = parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned());
    names.collect()
}

fn is_documented<Q: Question>(question: &Q) {
    let query = serde_urlencoded::to_string(question).unwrap();
    let documented = parameters(Q::PATH);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap();
        assert!(documented.contains(name), "{}: {name}", Q::PATH);
    }
}

/// Checks that the schema `name` has every field of `answer`, and requires no other.
fn describes(name: &str, answer: &impl Serialize) {
    let document = document();
    let schema = &document["components"]["schemas"][name];
    let Value::Object(fields) = serde_json::to_value(answer).unwrap() else {
        panic!("{name} is no object");
    };
    for field in fields.keys() {
        assert!(
            !schema["properties"][field].is_null(),
            "{name}.{field}: {schema:#}"
        );
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for field in required {
        assert!(
            fields.contains_key(field.as_str().unwrap()),
            "{name} lacks {field}"
        );
    }
}

#[test]
fn it_is_valid_and_each_operation_has_a_name_of_its_own() {
    let document = parsed();
    assert_eq!(document.info.version, "1.2.3");
    let operations: Vec<_> = document.operations().collect();
    let names: BTreeSet<_> = operations
        .iter()
        .map(|(.., operation)| operation.operation_id.clone().unwrap())
        .collect();
    assert_eq!(names.len(), operations.len());
    for (path, method, operation) in operations {
        assert!(operation.responses.default.is_some(), "{method} {path}");
        assert_eq!(operation.responses.responses.len(), 1, "{method} {path}");
    }
}

#[test]
fn a_service_profile_is_made_of_it_without_a_complaint() {
    use mesh_profile::openapi::{Options, import};

    let text = openapi::document("1");
    let profile = import(&text, "openapi.json", &Options::default()).unwrap();
    let found: Vec<String> = profile
        .diagnostics
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, [""; 0]);
    let routes: Vec<&str> = profile
        .spec
        .routes
        .iter()
        .map(|route| &*route.name)
        .collect();
    assert!(routes.contains(&"GET /api/v1/stat"), "{routes:?}");
    assert_eq!(routes.len(), parsed().operations().count());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, seen: &mut impl FnMut(&str)) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    seen(reference);
                }
                members.values().for_each(|member| walk(member, seen));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, seen)),
            _ => {}
        }
    }
    let document = document();
    let mut count = 0;
    walk(&document, &mut |reference| {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
        count += 1;
    });
    assert!(count > 20, "{count}");
}

#[test]
fn descriptions_are_free_of_rustdoc() {
    let text = openapi::document("1");
    assert!(!text.contains("[`") && !text.contains("`]"));
}

#[test]
fn parameters_are_those_that_the_requests_write() {
    is_documented(&StatRequest {
        resources: vec![Resource::all(Kind::Pod)],
        namespaces: Namespaces::All,
        side: Some(Side::To(
            Peer::new("svc/a".parse().unwrap(), Some("b".into())).unwrap(),
        )),
        window: Window::default(),
        unmeshed: true,
    });
    is_documented(&RoutesRequest {
        resource: "deploy/a".parse().unwrap(),
        namespace: Some("b".into()),
        to: Some(Peer::new("svc/a".parse().unwrap(), Some("b".into())).unwrap()),
        window: Window::default(),
    });
    is_documented(&EdgesRequest {
        kind: Kind::Pod,
        namespaces: Namespaces::Named("a".into()),
    });
    is_documented(&TapRequest {
        max_rps: 1.0,
        retried: true,
        headers: true,
        status: Some("5xx".parse().unwrap()),
        ..TapRequest::new(Resource::all(Kind::Pod))
    });
    is_documented(&DestinationRequest {
        authority: "a".into(),
        namespace: Some("b".into()),
        from: Some("deploy/a".parse().unwrap()),
    });
    is_documented(&CanariesRequest {
        namespace: Some("a".into()),
    });
    assert!(parameters(VersionRequest::PATH).is_empty());
    assert!(parameters("/api/v1/canaries/{namespace}/{name}").contains("namespace"));
}

#[test]
fn schemas_are_those_of_the_answers() {
    describes("StatRow", &StatRow::default());
    describes("RouteRow", &RouteRow::default());
    describes("EdgeRow", &EdgeRow::default());
    describes("CanaryRow", &CanaryRow::default());
    describes("CanaryDetail", &CanaryDetail::default());
    describes("CanaryDecision", &CanaryDecision::default());
    describes("CheckReport", &CheckReport::default());
    describes("ErrorBody", &ErrorBody { error: "no".into() });
    describes(
        "Fault",
        &Fault {
            id: 1,
            namespace: "a".into(),
            service: "b".into(),
            route: None,
            percent: 1.0,
            kind: FaultKind::Reset,
            from: None,
            ends_ms: 1,
        },
    );
    let schema = &parsed().components.unwrap().schemas["StatRow"];
    let ReferenceOr::Item(schema) = schema else {
        panic!("a reference");
    };
    let fields = serde_json::to_value(schema).unwrap();
    assert_eq!(fields["properties"]["success"]["nullable"], true);
}
