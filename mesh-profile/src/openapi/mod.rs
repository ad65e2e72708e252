//! Profiles from OpenAPI documents: Swagger 2.0, OpenAPI 3.0 and 3.1, as JSON or YAML.
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
//! Each path and method becomes a route, in the order of the paths' bytes. Swagger 2.0 becomes, to
//! the byte, what Linkerd's `profile --open-api` makes of it. Of OpenAPI 3, more counts: the path
//! of the first server is put in front (`servers` of a path or operation win over the document's),
//! `NXX` responses become ranges, TRACE is a method, `$ref`s of path items within the document are
//! followed, and `x-linkerd-retryable` and `x-linkerd-timeout` may stand on a path. In both,
//! `x-linkerd-failure` on a response says what its status does not. A `default` response gives
//! nothing: it says of no status what it means.
//!
//! Whoever holds a document that `openapiv3` has parsed makes a profile of that, with the feature
//! of the same name: `ProfileSpec::from(&document)`.

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
mod swagger;

pub use self::diagnostic::{Diagnostic, Error, Severity};

use self::{
    diagnostic::{Diagnostics, Refused},
    document::Document,
};
use crate::ProfileSpec;

/// How to read a document.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to put before every path, whatever the document says.
    pub base_path: Option<String>,
    /// Whether losses are errors.
    pub strict: bool,
}

/// A profile made of a document.
#[derive(Clone, Debug)]
pub struct Import {
    /// The profile.
    pub spec: ProfileSpec,
    /// What was lost, and what the reader should know.
    pub diagnostics: Vec<Diagnostic>,
}

/// Makes a profile of `text`, which diagnostics call `source`.
///
/// # Errors
///
/// [`Error`] if the text is neither JSON nor YAML or no OpenAPI document, has duplicate keys, or
/// a timeout that is no duration; and if anything was lost and `options` are strict.
pub fn import(text: &str, source: &str, options: &Options) -> Result<Import, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let diagnostics = Diagnostics::new(text, source);
    let spec =
        read(text, &diagnostics).map(|document| convert::convert(document, options, &diagnostics));
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
