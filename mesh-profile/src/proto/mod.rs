//! Profiles from protobuf sources: one route for each method of each service, in their order.
//!
//! Only packages and services are read; messages are skipped unseen and imports are not followed,
//! so that one file, of whatever edition, is enough. A method whose `idempotency_level` says that
//! it may be sent twice becomes a retryable route.

mod reader;
mod token;

use crate::{ProfileSpec, RequestMatchSpec, RouteSpec};
use reader::{Method, Reader};
use std::fmt;

/// Makes a profile of `text`, which errors call `source`.
///
/// # Errors
///
/// [`InvalidProto`] with the place, if the text is not protobuf.
pub fn import(text: &str, source: &str) -> Result<ProfileSpec, InvalidProto> {
    let file = token::tokens(text)
        .and_then(|tokens| Reader::new(&tokens, text.len()).file())
        .map_err(|error| InvalidProto {
            source: source.to_owned(),
            place: place(text, error.offset),
            message: error.message,
        })?;
    let package = match file.package.as_str() {
        "" => String::new(),
        package => format!("{package}."),
    };
    let routes = file.methods.into_iter().map(|method| {
        let Method { service, name, .. } = method;
        let path = format!("/{package}{service}/{name}");
        RouteSpec {
            name: name.to_owned(),
            condition: RequestMatchSpec {
                method: Some("POST".to_owned()),
                path_regex: Some(path.replace('.', "\\.")),
                ..RequestMatchSpec::default()
            },
            is_retryable: method.is_idempotent,
            ..RouteSpec::default()
        }
    });
    Ok(ProfileSpec {
        routes: routes.collect(),
        ..ProfileSpec::default()
    })
}

/// A text that is not protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProto {
    source: String,
    place: (u64, u64),
    message: String,
}

impl InvalidProto {
    /// Line and column of the error, from one.
    pub fn place(&self) -> (u64, u64) {
        self.place
    }

    /// The reason, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for InvalidProto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, (line, column)) = (&self.source, self.place);
        write!(
            f,
            "{source}:{line}:{column}: this is not protobuf: {}",
            self.message
        )
    }
}

impl std::error::Error for InvalidProto {}

/// An error of the reader, at an offset in bytes.
#[derive(Debug)]
struct Error {
    offset: usize,
    message: String,
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
                ("Odd", r"/shop\.v1\.Cart/Odd", true),
                ("Get", r"/shop\.v1\.Other/Get", false),
            ]
        );
        let spec = import("service Cart { rpc Get (A) returns (A); }", "cart.proto").unwrap();
        assert_eq!(
            spec.routes[0].condition.path_regex.as_deref(),
            Some("/Cart/Get")
        );
    }

    fn paths(text: &str) -> Vec<String> {
        let routes = import(text, "a.proto").unwrap().routes;
        let path = |route: RouteSpec| {
            let mark = if route.is_retryable { "!" } else { "" };
            route.condition.path_regex.unwrap() + mark
        };
        routes.into_iter().map(path).collect()
    }

    #[test]
    fn all_of_the_language_but_services_is_skipped() {
        let text = r#"edition = "2024";
            // service No { rpc A (B) returns (C); }
            import weak "a.proto"; import option "b.proto";
            option (my.file) = { a: "}" b: [1, -2.5e3] c < d: 'it\'s' > };
            export message M {
              reserved 1 to max; reserved foo, "bar";
              oneof x { int32 a = 1 [(my.field) = { rpc: 1 }]; }
              optional group G = 2 { map<string, M> m = 1; }
              message service {} enum E { rpc = 0; }
            }
            extend google.protobuf.MethodOptions { string my = 5000; };
            service rpc {
              option deprecated = true;
              rpc rpc (stream .a.M) returns (stream M) {
                option (google.api.http) = { get: "/v1/{name=shelves/*}" more { post: "/x" } };
                option (my.option).part = { idempotency_level: IDEMPOTENT };
              } ;
              rpc null(M)returns(M){option idempotency_level=IDEMPOTENCY_UNKNOWN;option idempotency_level=IDEMPOTENT;}
              /* rpc B (M) returns (M); */
              rpc C (M) returns (M) { option deprecated = true; option idempotency_level = IDEMPOTENT; }
            }
            package a . b;
            "#;
        assert_eq!(
            paths(&format!("\u{feff}{text}")),
            [r"/a\.b\.rpc/rpc", r"/a\.b\.rpc/null", r"/a\.b\.rpc/C!"]
        );
        assert_eq!(paths(""), [""; 0]);
    }

    #[test]
    fn what_is_no_protobuf_has_its_place() {
        for (text, message) in [
            (
                "syntax = \"proto3\";\nservice {",
                "2:9: this is not protobuf: a name is expected, not `{`",
            ),
            (
                "hello",
                "1:1: this is not protobuf: `hello` begins no declaration",
            ),
            (
                "service S {",
                "1:12: this is not protobuf: the text ends where a declaration or `}` is expected",
            ),
            (
                "message M { ",
                "1:13: this is not protobuf: the text ends within a declaration",
            ),
            (
                "message M }",
                "1:11: this is not protobuf: `}` closes nothing",
            ),
            (
                "service S { get }",
                "1:13: this is not protobuf: `get` begins no declaration",
            ),
            (
                "service S { rpc A () returns (B); }",
                "1:20: this is not protobuf: a name is expected, not `)`",
            ),
            (
                "service S { rpc A (B) (C); }",
                "1:23: this is not protobuf: `returns` is expected, not `(`",
            ),
            (
                "\n/* x",
                "2:1: this is not protobuf: this comment is not closed",
            ),
            (
                "import \"a",
                "1:8: this is not protobuf: this text is not closed",
            ),
            (
                "package é;",
                "1:9: this is not protobuf: unexpected character 'é'",
            ),
        ] {
            let error = import(text, "a.proto").unwrap_err().to_string();
            assert_eq!(error, format!("a.proto:{message}"), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(words in "(service|rpc|returns|option|message|package|[a-z]|[(){};.=\"'/* \né]){0,40}") {
            let _ = import(&words, "a.proto");
        }
    }
}
