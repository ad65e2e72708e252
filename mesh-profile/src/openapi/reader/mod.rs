mod policy;
mod responses;
mod servers;

use self::{responses::Responses, servers::server};
use super::{
    diagnostic::{Diagnostics, Place, Refused},
    document::{Additional, Document, Failures, Key, METHODS, Operation, PathItem, Paths, Scalar},
    object::{Members, Object, ScalarSeed},
    parse::parse,
    skip::Skip,
};
use http::Method;
use serde::de::MapAccess;
use std::borrow::Cow;

/// Reads a document: JSON if it looks like it, else YAML.
pub(super) fn read<'t>(
    text: &'t str,
    diagnostics: &Diagnostics<'t>,
) -> Result<Document<'t>, Refused> {
    let document = parse(text, diagnostics, || {
        Object::<Document<'_>>::new(Some(0), diagnostics)
    })?;
    let Some(document) = document else {
        diagnostics.clear();
        return Err(diagnostics.refuse(
            Some(0),
            "this is not an OpenAPI document: it is not an object with the members `openapi` or \
             `swagger`, and `paths`",
        ));
    };
    if document.version.is_none() && document.paths.is_none() {
        let members: Vec<_> = document
            .members
            .iter()
            .take(5)
            .map(|m| format!("`{m}`"))
            .collect();
        let found = match members.as_slice() {
            [] => "it is empty".to_owned(),
            some => format!("it begins with {}", some.join(", ")),
        };
        return Err(diagnostics.refuse(
            Some(0),
            format!(
                "this is not an OpenAPI document: it has neither `openapi` nor `swagger` nor \
                 `paths`; {found}"
            ),
        ));
    }
    Ok(document)
}

impl<'t> Members<'t> for Document<'t> {
    const WHAT: &'static str = "the document";

    fn has_effect(key: &str) -> bool {
        DOCUMENT.iter().any(|m| key.eq_ignore_ascii_case(m))
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        match known(&key, &DOCUMENT, diagnostics) {
            "openapi" => {
                self.version = Some((key.place, map.next_value_seed(ScalarSeed(diagnostics))?));
            }
            "swagger" => {
                self.is_swagger = true;
                self.version = Some((key.place, map.next_value_seed(ScalarSeed(diagnostics))?));
            }
            "basePath" => {
                self.base_path = Some((key.place, map.next_value_seed(ScalarSeed(diagnostics))?))
            }
            "servers" => self.server = server(&key, map, diagnostics)?,
            "paths" => {
                let paths = map.next_value_seed(Object::new(key.place, diagnostics))?;
                self.paths = Some(paths.unwrap_or_default());
            }
            "components" => {
                let components = Object::<Components<'_>>::new(key.place, diagnostics);
                if let Some(components) = map.next_value_seed(components)? {
                    self.failures = components.failures;
                }
            }
            "responses" => {
                let failures = map.next_value_seed(Object::new(key.place, diagnostics))?;
                self.failures = failures.unwrap_or_default();
            }
            _ => skip(map, diagnostics)?,
        }
        self.members.push(key.text);
        Ok(())
    }
}

#[derive(Default)]
struct Components<'t> {
    failures: Failures<'t>,
}

impl<'t> Members<'t> for Components<'t> {
    const WHAT: &'static str = "`components`";

    fn has_effect(key: &str) -> bool {
        key == "responses"
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        if key.text == "responses" {
            let failures = map.next_value_seed(Object::new(key.place, diagnostics))?;
            self.failures = failures.unwrap_or_default();
            return Ok(());
        }
        skip(map, diagnostics)
    }
}

impl<'t> Members<'t> for Paths<'t> {
    const WHAT: &'static str = "`paths`";

    fn has_effect(key: &str) -> bool {
        key.starts_with('/')
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        if key.text.starts_with('/') {
            let item = map.next_value_seed(Object::new(key.place, diagnostics))?;
            self.0.extend(item.map(|item| (key, item)));
            return Ok(());
        }
        if !is_extension(&key) {
            let message = format!("path {:?} does not begin with a slash", key.text);
            diagnostics.warn(key.place, message);
        }
        skip(map, diagnostics)
    }
}

impl<'t> Members<'t> for PathItem<'t> {
    const WHAT: &'static str = "the path";

    fn has_effect(key: &str) -> bool {
        let policy = ["x-linkerd-retryable", "x-linkerd-timeout"];
        let others = ["$ref", "servers", "additionalOperations"];
        METHODS.iter().any(|m| key.eq_ignore_ascii_case(m))
            || others.contains(&key)
            || policy.contains(&key)
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        let name = known(&key, &METHODS, diagnostics);
        if let Some(method) = METHODS.iter().position(|method| *method == name) {
            let operation = map.next_value_seed(Object::new(key.place, diagnostics))?;
            self.operations[method] = operation;
            return Ok(());
        }
        match &*key.text {
            "$ref" => self.reference = reference(&key, map, diagnostics)?,
            "servers" => self.server = server(&key, map, diagnostics)?,
            "additionalOperations" => {
                let additional = map.next_value_seed(Object::new(key.place, diagnostics))?;
                self.additional = additional.unwrap_or_default();
            }
            "parameters" | "summary" | "description" => skip(map, diagnostics)?,
            _ if self.policy.member(&key, map, diagnostics)? => {}
            _ => {
                if !is_extension(&key) {
                    let meant = mesh_yaml::did_you_mean(&key.text, &METHODS);
                    let meant = meant.map_or(String::new(), |m| format!(", did you mean `{m}`?"));
                    let message = format!("{:?} is not a known method{meant}", key.text);
                    diagnostics.warn(key.place, message);
                }
                skip(map, diagnostics)?;
            }
        }
        Ok(())
    }
}

impl<'t> Members<'t> for Additional<'t> {
    const WHAT: &'static str = "`additionalOperations`";

    fn has_effect(_: &str) -> bool {
        true
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        let fixed = METHODS.map(str::to_ascii_uppercase);
        let fixed = fixed.each_ref().map(String::as_str);
        let Ok(method) = Method::from_bytes(known(&key, &fixed, diagnostics).as_bytes()) else {
            let message = format!("{:?} is not an HTTP method and was left out", key.text);
            diagnostics.warn(key.place, message);
            return skip(map, diagnostics);
        };
        let operation = map.next_value_seed(Object::new(key.place, diagnostics))?;
        self.0
            .extend(operation.map(|operation| (method, operation)));
        Ok(())
    }
}

impl<'t> Members<'t> for Operation<'t> {
    const WHAT: &'static str = "the operation";

    fn has_effect(key: &str) -> bool {
        let policy = ["x-linkerd-retryable", "x-linkerd-timeout"];
        key.eq_ignore_ascii_case("responses") || key == "servers" || policy.contains(&key)
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        match known(&key, &["responses"], diagnostics) {
            "responses" => {
                let responses = Object::<Responses<'_>>::new(key.place, diagnostics);
                let responses = map.next_value_seed(responses)?;
                self.responses = responses.unwrap_or_default().0;
            }
            "servers" => self.server = server(&key, map, diagnostics)?,
            _ if self.policy.member(&key, map, diagnostics)? => {}
            _ => skip(map, diagnostics)?,
        }
        Ok(())
    }
}

fn boolean<'t, A: MapAccess<'t>>(
    key: &Key<'t>,
    map: &mut A,
    diagnostics: &Diagnostics<'t>,
) -> Result<Option<bool>, A::Error> {
    match map.next_value_seed(ScalarSeed(diagnostics))? {
        Scalar::Bool(value) => Ok(Some(value)),
        _ => {
            let message = format!("`{}` is neither true nor false and was left out", key.text);
            diagnostics.warn(key.place, message);
            Ok(None)
        }
    }
}

fn reference<'t, A: MapAccess<'t>>(
    key: &Key<'t>,
    map: &mut A,
    diagnostics: &Diagnostics<'t>,
) -> Result<Option<(Place, Cow<'t, str>)>, A::Error> {
    match map.next_value_seed(ScalarSeed(diagnostics))? {
        Scalar::Text(reference) => Ok(Some((key.place, reference))),
        _ => {
            diagnostics.warn(key.place, "`$ref` is not text and was left out");
            Ok(None)
        }
    }
}

/// The members that matter of those a document may begin with.
const DOCUMENT: [&str; 7] = [
    "openapi",
    "swagger",
    "basePath",
    "servers",
    "paths",
    "components",
    "responses",
];

/// Returns the member that `key` names, in any case of letters, as Linkerd's reader does.
fn known<'k>(key: &'k Key<'_>, members: &[&'k str], diagnostics: &Diagnostics<'_>) -> &'k str {
    let text = &*key.text;
    match members.iter().find(|m| text.eq_ignore_ascii_case(m)) {
        Some(member) => {
            if *member != text {
                let message = format!("{text:?} is read as `{member}`");
                diagnostics.warn(key.place, message);
            }
            member
        }
        None => text,
    }
}

fn is_extension(key: &Key<'_>) -> bool {
    key.text.starts_with("x-") || key.text.starts_with("X-")
}

fn skip<'t, A: MapAccess<'t>>(map: &mut A, diagnostics: &Diagnostics<'t>) -> Result<(), A::Error> {
    map.next_value_seed(Skip(diagnostics))
}
