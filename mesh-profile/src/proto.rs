//! Profiles from protobuf sources: one route for each method of each service, in their order.
//!
//! Imports are not followed, so that one file is enough. A method whose `idempotency_level` says
//! that it may be sent twice becomes a retryable route.

use crate::{ProfileSpec, RequestMatchSpec, RouteSpec, yaml};
use prost_types::{FileDescriptorProto, MethodOptions, ServiceDescriptorProto};

/// Makes a profile of `text`, which errors call `source`.
///
/// # Errors
///
/// [`yaml::Error`], which is no more than a message with a place, if the text is not protobuf.
pub fn import(text: &str, source: &str) -> Result<ProfileSpec, yaml::Error> {
    // The parser refuses names that no import could have, like an absolute path; it needs none.
    let file = protox_parse::parse("input.proto", text).map_err(|error| {
        let place = error.span().map(|span| place(text, span.start));
        yaml::Error::new(source, place, format!("this is not protobuf: {error}"))
    })?;
    let routes = file.service.iter().flat_map(|service| {
        let methods = service.method.iter();
        methods.map(|method| {
            let path = path(&file, service, method.name());
            RouteSpec {
                name: method.name().to_owned(),
                condition: RequestMatchSpec {
                    method: Some("POST".to_owned()),
                    path_regex: Some(path.replace('.', "\\.")),
                    ..RequestMatchSpec::default()
                },
                is_retryable: method.options.as_ref().is_some_and(is_idempotent),
                ..RouteSpec::default()
            }
        })
    });
    Ok(ProfileSpec {
        routes: routes.collect(),
        ..ProfileSpec::default()
    })
}

fn path(file: &FileDescriptorProto, service: &ServiceDescriptorProto, method: &str) -> String {
    match file.package() {
        "" => format!("/{}/{method}", service.name()),
        package => format!("/{package}.{}/{method}", service.name()),
    }
}

/// Options are only resolved by a compiler that follows imports; until then they are names.
fn is_idempotent(options: &MethodOptions) -> bool {
    options.uninterpreted_option.iter().any(|option| {
        let is_level = matches!(&*option.name, [part]
            if part.name_part == "idempotency_level" && !part.is_extension);
        is_level && matches!(option.identifier_value(), "NO_SIDE_EFFECTS" | "IDEMPOTENT")
    })
}

fn place(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_is_a_route() {
        let spec = import(
            r#"
            syntax = "proto3";
            package shop.v1;
            import "google/protobuf/empty.proto";

            message Item { string id = 1; }
            service Cart {
                rpc Put (stream Item) returns (google.protobuf.Empty);
                rpc Get (Item) returns (Item) { option idempotency_level = NO_SIDE_EFFECTS; }
                rpc Drop (Item) returns (Item) { option idempotency_level = IDEMPOTENT; option deprecated = true; }
                rpc Odd (Item) returns (Item) { option (idempotency_level) = IDEMPOTENT; }
            }
            service Other { rpc Get (Item) returns (Item); }
            "#,
            "cart.proto",
        )
        .unwrap();
        let routes: Vec<_> = spec
            .routes
            .iter()
            .map(|r| {
                (
                    &*r.name,
                    r.condition.path_regex.as_deref().unwrap(),
                    r.is_retryable,
                )
            })
            .collect();
        assert_eq!(
            routes,
            [
                ("Put", r"/shop\.v1\.Cart/Put", false),
                ("Get", r"/shop\.v1\.Cart/Get", true),
                ("Drop", r"/shop\.v1\.Cart/Drop", true),
                ("Odd", r"/shop\.v1\.Cart/Odd", false),
                ("Get", r"/shop\.v1\.Other/Get", false),
            ]
        );
        let spec = import("service Cart { rpc Get (A) returns (A); }", "cart.proto").unwrap();
        assert_eq!(
            spec.routes[0].condition.path_regex.as_deref(),
            Some("/Cart/Get")
        );
    }

    #[test]
    fn what_is_no_protobuf_has_its_place() {
        let error = import("syntax = \"proto3\";\nservice {", "/tmp/cart.proto").unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("/tmp/cart.proto:2:9: this is not protobuf: "),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}
