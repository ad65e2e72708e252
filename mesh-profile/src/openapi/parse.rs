use super::diagnostic::{Diagnostics, Refused};
use mesh_yaml as yaml;
use serde::de::DeserializeSeed;

/// Reads `text` with a new `seed`. What begins with a brace and is no JSON may still be YAML.
pub(super) fn parse<'t, S: DeserializeSeed<'t>>(
    text: &'t str,
    diagnostics: &Diagnostics<'t>,
    seed: impl Fn() -> S,
) -> Result<S::Value, Refused> {
    if !text.trim_start().starts_with('{') {
        return parse_yaml(text, diagnostics, seed).map_err(|error| match error {
            Some(error) => {
                let message = format!("this is neither JSON nor YAML: {}", error.message());
                diagnostics.refuse_at(error.place(), message)
            }
            None => Refused,
        });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let read = seed().deserialize(&mut json);
    match read.and_then(|value| json.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) if diagnostics.has_refused() => Err(Refused),
        Err(error) => {
            diagnostics.clear();
            parse_yaml(text, diagnostics, seed).map_err(|yaml| match yaml {
                Some(_) => {
                    diagnostics.clear();
                    let place = (error.line() as u64, error.column() as u64);
                    diagnostics.refuse_at(Some(place), json_message(&error))
                }
                None => Refused,
            })
        }
    }
}

/// Reads a plain document with the quick reader, and any other document with `serde-saphyr`. A
/// document with duplicate keys is read once more, to report all of them. The error is absent if it
/// is among the diagnostics already.
fn parse_yaml<'t, S: DeserializeSeed<'t>>(
    text: &'t str,
    diagnostics: &Diagnostics<'t>,
    seed: impl Fn() -> S,
) -> Result<S::Value, Option<yaml::Error>> {
    let mut sections = yaml::sections(text).filter(|section| !section.is_empty());
    let first = sections.next();
    if let Some(second) = sections.next() {
        let place = diagnostics.place_of(second.text());
        diagnostics.refuse(place, "a second document begins here; one was expected");
        return Err(None);
    }
    let document = first.unwrap_or_else(|| yaml::Section::whole(text));
    let before = diagnostics.count();
    if let Ok(read) = yaml::plain::read(document.text(), seed()) {
        return Ok(read);
    }
    diagnostics.forget_since(before);
    let mut read = document.parse_seed("", seed());
    if read.as_ref().is_err_and(yaml::Error::is_duplicate_key) {
        diagnostics.forget_since(before);
        diagnostics.find_duplicates();
        read = document.parse_seed_with_duplicates("", seed());
    }
    read.map_err(|error| (!diagnostics.has_refused()).then_some(error))
}

/// The message without the place, which is told apart.
fn json_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    format!("this is not JSON: {}", &message[..end])
}
