use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Writes `value` as YAML in the form of `kubectl get -o yaml`: keys sorted, lists not indented,
/// quotes only where another YAML reader would need them.
///
/// The form is that of Go's `sigs.k8s.io/yaml`, to the byte, so that what we print can be
/// compared with what Linkerd's tools print; the Rust writers quote differently.
///
/// # Errors
///
/// If `value` cannot be represented as JSON data: its maps have keys that are no strings.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let value = serde_json::to_value(value)?;
    let mut out = String::new();
    match &value {
        Value::Object(members) if !members.is_empty() => block(&mut out, &value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut out, &value, 0),
        _ => scalar(&mut out, &value),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}

/// Writes a map or list, beginning where the cursor is, its further lines at `indent`.
fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            for (i, (key, value)) in members.into_iter().enumerate() {
                if i > 0 {
                    pad(out, indent);
                }
                string(out, key);
                out.push(':');
                match value {
                    // Lists stand at the column of their key.
                    Value::Array(items) if !items.is_empty() => {
                        out.push('\n');
                        pad(out, indent);
                        block(out, value, indent);
                    }
                    Value::Object(members) if !members.is_empty() => {
                        out.push('\n');
                        pad(out, indent + 2);
                        block(out, value, indent + 2);
                    }
                    value => {
                        out.push(' ');
                        leaf(out, value, indent + 2);
                    }
                }
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                if i > 0 {
                    pad(out, indent);
                }
                out.push_str("- ");
                block(out, value, indent + 2);
            }
        }
        value => leaf(out, value, indent),
    }
}

/// Writes what fits on the line, or lines of text at `indent`.
fn leaf(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(text) if is_lines(text) => literal(out, text, indent),
        Value::String(text) => string(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        value => scalar(out, value),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => string(out, text),
        // Writing into a String cannot fail.
        value => drop(write!(out, "{value}")),
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn string(out: &mut String, text: &str) {
    let is_printable = text.chars().all(|c| !c.is_control() && c != '\u{feff}');
    if is_another_type(text) || !is_printable {
        double_quoted(out, text);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        // Writing into a String cannot fail.
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    }
}

/// Whether `text` is lines that a literal block shows as they are.
fn is_lines(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    lines.contains('\n')
        && !lines.starts_with([' ', '\n'])
        && !lines.ends_with('\n')
        && lines.chars().all(|c| !c.is_control() || c == '\n')
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.lines() {
        if !line.is_empty() {
            pad(out, indent);
        }
        out.push_str(line);
        out.push('\n');
    }
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        // Writing into a String cannot fail.
        let _ = match c {
            '"' => write!(out, "\\\""),
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            '\0' => write!(out, "\\0"),
            '\u{feff}' => write!(out, "\\uFEFF"),
            c if c.is_control() => write!(out, "\\x{:02X}", c as u32),
            c => write!(out, "{c}"),
        };
    }
    out.push('"');
}

/// Whether a plain scalar in block context may read `text`.
fn is_plain(text: &str) -> bool {
    const FIRST: &[char] = &[
        '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
    ];
    let bytes = text.as_bytes();
    let ends_or_blank = |i: usize| matches!(bytes.get(i), None | Some(b' ' | b'\t'));
    let begins_wrong = text.starts_with(FIRST)
        || ["---", "...", " "]
            .iter()
            .any(|start| text.starts_with(start))
        || (text.starts_with(['?', '-']) && ends_or_blank(1));
    let breaks = |i| match bytes[i] {
        b':' => ends_or_blank(i + 1),
        b'#' => ends_or_blank(i - 1),
        _ => false,
    };
    !begins_wrong && !text.ends_with(' ') && !(0..bytes.len()).any(breaks)
}

/// Whether a plain scalar `text` would be read as something else than a string by YAML 1.1,
/// which Go's library still follows.
fn is_another_type(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "", "~", "null", "y", "yes", "true", "on", "n", "no", "false", "off", ".nan", "<<",
    ];
    let lower = text.to_ascii_lowercase();
    let cased = text == lower
        || text == text.to_ascii_uppercase()
        || text.chars().skip(1).eq(lower.chars().skip(1))
        || lower == ".nan";
    if cased && WORDS.contains(&&*lower) {
        return true;
    }
    let number = lower.trim_start_matches(['-', '+']).replace('_', "");
    match number.as_bytes() {
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => {}
        _ => return number == ".inf",
    }
    let digits = |rest: &str, radix| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
    let radix = match number.get(..2) {
        Some("0x") => digits(&number[2..], 16),
        Some("0o") => digits(&number[2..], 8),
        Some("0b") => digits(&number[2..], 2),
        _ => false,
    };
    let sexagesimal =
        number.contains(':') && number.split(':').all(|part| part.parse::<f64>().is_ok());
    radix || number.parse::<f64>().is_ok() || sexagesimal || is_timestamp(text)
}

fn is_timestamp(text: &str) -> bool {
    let date: Vec<_> = text
        .split(['T', 't', ' '])
        .next()
        .unwrap_or_default()
        .split('-')
        .collect();
    matches!(*date, [year, month, day]
    if year.len() == 4 && [year, month, day].iter().all(|part| {
        (1..=4).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_is_that_of_kubernetes() {
        let value = json!({
            "spec": {"routes": [{"name": "GET /", "condition": {"method": "GET", "all": [{"b": 1}, [1, 2]]}}], "empty": {}, "none": []},
            "kind": "X", "null": null, "on": true, "text": "a\nb\n",
        });
        assert_eq!(
            to_string(&value).unwrap(),
            "kind: X\n\"null\": null\n\"on\": true\nspec:\n  empty: {}\n  none: []\n  routes:\n  - condition:\n      all:\n      - b: 1\n      - - 1\n        - 2\n      method: GET\n    name: GET /\ntext: |\n  a\n  b\n"
        );
        assert_eq!(to_string(&json!({})).unwrap(), "{}\n");
    }

    #[test]
    fn quotes_stand_where_they_are_needed() {
        for (text, yaml) in [
            ("GET /v1/pets/{petId}", "GET /v1/pets/{petId}"),
            (r"/a/[^/]*\.json", r"/a/[^/]*\.json"),
            ("300ms", "300ms"),
            ("1", "\"1\""),
            ("1e3", "\"1e3\""),
            ("0x1f", "\"0x1f\""),
            ("1_000", "\"1_000\""),
            ("yes", "\"yes\""),
            ("yEs", "yEs"),
            ("null", "\"null\""),
            ("", "\"\""),
            ("12:30", "\"12:30\""),
            ("2019-11-01", "\"2019-11-01\""),
            ("a: b", "'a: b'"),
            ("a:", "'a:'"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("*", "'*'"),
            ("'a'", "'''a'''"),
            ("- a", "'- a'"),
            ("-a", "-a"),
            (" a", "' a'"),
            ("a\tb", "\"a\\tb\""),
            ("é", "é"),
        ] {
            assert_eq!(to_string(text).unwrap(), format!("{yaml}\n"), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(text in "[ -~é\n\t]{0,12}", key in "[a-z#: '\"*]{1,4}") {
            let value = json!({ key: [{"a": text}, text] });
            let yaml = to_string(&value).unwrap();
            let back: Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(back, value, "{yaml}");
        }
    }
}
