mod resolve;
mod scalar;

use scalar::Style;
use serde::Serialize;
use serde_json::{Map, Value};

/// Writes `value` as YAML in the form of `kubectl get -o yaml`: keys sorted, lists not indented,
/// quotes only where another YAML reader would need them, long text folded.
///
/// The form is that of Go's `sigs.k8s.io/yaml`, to the byte, so that what we print can be
/// compared with what Linkerd's tools print; the Rust writers quote and fold differently.
///
/// # Errors
///
/// If `value` cannot be represented as JSON data: its maps have keys that are no strings.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let value = serde_json::to_value(value)?;
    let mut printer = Printer::default();
    match &value {
        Value::Object(_) | Value::Array(_) => printer.block(&value, 0),
        leaf => printer.leaf(leaf, 2),
    }
    Ok(printer.out)
}

/// Text, and how long its last line is.
#[derive(Debug, Default)]
struct Printer {
    out: String,
    column: usize,
}

impl Printer {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column = if c == '\n' { 0 } else { self.column + 1 };
    }

    fn text(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
    }

    fn pad(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column += indent;
    }

    /// Writes a value, beginning where the cursor is, its further lines at `indent`.
    fn block(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(members) if !members.is_empty() => self.members(members, indent),
            Value::Array(items) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.pad(indent);
                    }
                    self.text("- ");
                    self.block(item, indent + 2);
                }
            }
            leaf => self.leaf(leaf, indent),
        }
    }

    fn members(&mut self, members: &Map<String, Value>, indent: usize) {
        let mut members: Vec<_> = members.iter().collect();
        members.sort_by_key(|(key, _)| *key);
        for (i, (key, value)) in members.into_iter().enumerate() {
            if i > 0 {
                self.pad(indent);
            }
            self.string(key, Style::of_key(key), None);
            self.put(':');
            // Lists stand at the column of their key.
            let within = match value {
                Value::Array(items) if !items.is_empty() => Some(indent),
                Value::Object(members) if !members.is_empty() => Some(indent + 2),
                _ => None,
            };
            match within {
                Some(within) => {
                    self.put('\n');
                    self.pad(within);
                    self.block(value, within);
                }
                None => {
                    self.put(' ');
                    self.leaf(value, indent + 2);
                }
            }
        }
    }

    /// Writes what has nothing within, and ends the line; further lines of text at `indent`.
    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::String(text) => self.string(text, Style::of(text), Some(indent)),
            Value::Array(_) => self.text("[]"),
            Value::Object(_) => self.text("{}"),
            other => self.text(&other.to_string()),
        }
        if self.column > 0 {
            self.put('\n');
        }
    }
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

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(text in "[ -~é\n\t😀\u{2028}]{0,12}", key in "[a-z#: '\"*]{1,4}") {
            let value = json!({ key: [{"a": text}, text] });
            let yaml = to_string(&value).unwrap();
            let back: Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(back, value, "{yaml}");
        }

        #[test]
        fn what_is_folded_reads_back(words in "([a-z:#'\"é]{1,6}|[\t😀]| |  ){0,60}") {
            let value = json!({"list": [{"text": words}], "text": words});
            let yaml = to_string(&value).unwrap();
            let back: Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(back, value, "{yaml}");
            let ours: Value = crate::from_str(&yaml, "").unwrap();
            assert_eq!(ours, value, "{yaml}");
        }
    }
}
