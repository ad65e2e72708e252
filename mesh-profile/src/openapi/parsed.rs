//! Profiles of documents that the crate `openapiv3` has parsed.

use super::{
    Options,
    convert::convert,
    diagnostic::Diagnostics,
    document::{
        Document, Failures, Key, METHODS, Operation, PathItem, Paths, Policy, Response, Server,
    },
    reference,
};
use crate::ProfileSpec;
use openapiv3::{OpenAPI, ReferenceOr};
use serde_json::Value;
use std::borrow::Cow;

/// Gives the same profile as [`import`](super::import) of the document's text, except for what
/// `openapiv3` does not keep: members beside a `$ref`, paths in `components`, and the operations
/// that OpenAPI 3.2 adds.
///
/// Losses go unmentioned, as a parsed document has no places to mention; a timeout that is no
/// duration stays, for `Profile::try_from` to refuse.
impl From<&OpenAPI> for ProfileSpec {
    fn from(document: &OpenAPI) -> Self {
        let items = &document.paths.paths;
        let paths = items.iter().filter_map(|(path, item)| {
            let item = follow(document, item)?;
            let is_path = path.starts_with('/');
            is_path.then(|| (key(Cow::Borrowed(path)), path_item(item)))
        });
        let components = document.components.iter();
        let failures = components.flat_map(|components| &components.responses);
        let failures = failures
            .map(|(name, response)| (Cow::Borrowed(&**name), response.as_item().and_then(failure)));
        let document = Document {
            server: document.servers.first().map(server),
            paths: Some(Paths(paths.collect())),
            failures: Failures(failures.collect()),
            ..Document::default()
        };
        convert(&document, &Options::default(), &Diagnostics::new("", ""))
    }
}

/// The path item itself, or the one that its references lead to.
fn follow<'d>(
    document: &'d OpenAPI,
    mut item: &'d ReferenceOr<openapiv3::PathItem>,
) -> Option<&'d openapiv3::PathItem> {
    for _ in 0..=reference::MAX_CHAIN {
        match item {
            ReferenceOr::Item(item) => return Some(item),
            ReferenceOr::Reference { reference } => {
                let pointer = reference::pointer(reference)?;
                let [paths, path] = &*pointer else {
                    return None;
                };
                let there = (paths == "paths").then(|| document.paths.paths.get(path));
                item = there.flatten()?;
            }
        }
    }
    None
}

fn path_item(item: &openapiv3::PathItem) -> PathItem<'_> {
    let operations = METHODS.map(|method| {
        let found = item.iter().find(|(name, _)| *name == method);
        found.map(|(_, operation)| self::operation(operation))
    });
    PathItem {
        server: item.servers.first().map(server),
        policy: policy(item.extensions.iter()),
        operations,
        ..PathItem::default()
    }
}

fn operation(operation: &openapiv3::Operation) -> Operation<'_> {
    let responses = operation.responses.responses.iter();
    let responses = responses.map(|(status, response)| {
        let response = match response {
            ReferenceOr::Item(item) => Response {
                failure: failure(item),
                ..Response::default()
            },
            ReferenceOr::Reference { reference } => Response {
                reference: Some((None, Cow::Borrowed(reference))),
                ..Response::default()
            },
        };
        (key(Cow::Owned(status.to_string())), response)
    });
    Operation {
        server: operation.servers.first().map(server),
        policy: policy(operation.extensions.iter()),
        responses: responses.collect(),
    }
}

fn policy<'d>(extensions: impl Iterator<Item = (&'d String, &'d Value)>) -> Policy<'d> {
    let mut policy = Policy::default();
    for (name, value) in extensions {
        match (&**name, value) {
            ("x-linkerd-retryable", Value::Bool(retryable)) => policy.retryable = Some(*retryable),
            ("x-linkerd-timeout", Value::String(timeout)) => {
                policy.timeout = Some((None, Cow::Borrowed(timeout)));
            }
            _ => {}
        }
    }
    policy
}

fn failure(response: &openapiv3::Response) -> Option<bool> {
    let mut extensions = response.extensions.iter();
    let found = extensions.find(|(name, _)| name.eq_ignore_ascii_case("x-linkerd-failure"));
    found.and_then(|(_, value)| value.as_bool())
}

fn server(server: &openapiv3::Server) -> Server<'_> {
    let variables = server.variables.iter().flatten();
    Server {
        url: Some(Cow::Borrowed(&server.url)),
        variables: variables
            .map(|(name, variable)| (name.into(), Cow::Borrowed(&*variable.default)))
            .collect(),
        ..Server::default()
    }
}

fn key(text: Cow<'_, str>) -> Key<'_> {
    Key { text, place: None }
}
