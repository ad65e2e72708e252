//! Profiles from OpenAPI documents: Swagger 2.0 and OpenAPI 3.0 to 3.2, as JSON or YAML.
//!
//! Only `paths` and what they refer to are read; schemas are skipped unseen, so that a document
//! with broken ones, or without `info`, still gives a profile. What could not be used is a
//! [`Diagnostic`] with its place.
//!
//! ```
//! use mesh_profile::openapi::{Options, import};
//!
//! let document = "
//! swagger: '2.0'
//! basePath: /v1
//! paths:
//!   /orders/{id}.json:
//!     put: { x-linkerd-timeout: 2s, responses: { 200: {}, 504: {} } }
//! ";
//! let import = import(document, "orders.yaml", &Options::default())?;
//! let route = &import.spec.routes[0];
//! assert_eq!(route.name, "PUT /v1/orders/{id}.json");
//! assert_eq!(route.condition.path_regex.as_deref(), Some(r"/v1/orders/[^/]*\.json"));
//! # Ok::<(), mesh_profile::openapi::Error>(())
//! ```
//!
//! Each path and method becomes a route, in the order of the paths' bytes. Swagger 2.0 gives the
//! profile of Linkerd's `profile --open-api`, to the byte. OpenAPI 3 gives more:
//!
//! - The path of the first server is put in front; `servers` of a path or an operation win over the
//!   document's.
//! - `NXX` responses become ranges.
//! - TRACE, QUERY and the methods in `additionalOperations` have routes.
//! - `$ref`s of path items within the document are followed.
//! - `x-linkerd-retryable` and `x-linkerd-timeout` may stand on a path.
//!
//! In both, `x-linkerd-failure` on a response overrides the meaning of its status. A `default`
//! response has no effect, as it names no status.
//!
//! # Routes that requests can match
//!
//! Linkerd's converter makes routes of the following that no request matches. This one does not:
//!
//! - Routes match a path, so the query or fragment of a key (`/v1/only?beta=true`) is left out of the
//!   condition. Operations with the same method and path share one route, with the name of the first
//!   in the document. It is retryable if all of them are, and its timeout is the longest of theirs.
//! - A `basePath` of `v2/` or `//v2//` is read as `/v2`.
//!
//! # Duplicate keys
//!
//! A second member of one name is refused if either of the two would give another profile.
//! Otherwise the last one counts, with a warning; in the parts of a JSON document that are
//! skipped, duplicate keys are looked for under [`Options::strict`] only.
//!
//! # Documents in memory
//!
//! With the feature `openapiv3`, `ProfileSpec::from(&document)` reads a document that this crate has
//! parsed.

mod convert;
mod diagnostic;
mod document;
mod object;
#[cfg(test)]
mod oracle;
mod parse;
#[cfg(feature = "openapiv3")]
mod parsed;
mod path;
mod reader;
mod reference;
mod routes;
mod skip;
mod swagger;

pub use self::diagnostic::{Diagnostic, Error, Severity};

use self::{
    diagnostic::{Diagnostics, Refused},
    document::Document,
};
use crate::ProfileSpec;

/// Settings of [`import`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The path in front of all paths. The default is the one in the document.
    pub base_path: Option<String>,
    /// Turns warnings into errors. Off by default.
    pub strict: bool,
}

/// A profile made of a document.
#[derive(Clone, Debug)]
pub struct Import {
    /// The profile.
    pub spec: ProfileSpec,
    /// Warnings of what had no effect, and notes.
    pub diagnostics: Vec<Diagnostic>,
}

/// Converts the OpenAPI document `text` to a profile. `source` names it in diagnostics.
///
/// # Errors
///
/// Returns [`Error`] if the text is neither JSON nor YAML, is not an OpenAPI document, has a timeout
/// that is not a duration, or has duplicate keys that would give different profiles; and, if
/// `options` are strict, for any warning.
pub fn import(text: &str, source: &str, options: &Options) -> Result<Import, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let diagnostics = Diagnostics::new(text, source);
    if options.strict {
        diagnostics.find_duplicates();
    }
    let spec =
        read(text, &diagnostics).map(|document| convert::convert(&document, options, &diagnostics));
    diagnostics.finish(spec, options.strict)
}

fn read<'t>(text: &'t str, diagnostics: &Diagnostics<'t>) -> Result<Document<'t>, Refused> {
    let mut document = reader::read(text, diagnostics)?;
    if document.is_swagger {
        swagger::restrict(&mut document, diagnostics);
    }
    reference::resolve(text, &mut document, diagnostics)?;
    Ok(document)
}
