//! Reads the Prometheus text format, without copying what is not needed.

use std::borrow::Cow;

/// One sample of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line<'a> {
    /// The metric's name.
    pub(crate) name: &'a str,
    /// The text between the braces.
    pub(crate) labels: &'a str,
    /// Name and labels as written; unique within a text.
    pub(crate) raw: &'a str,
    /// The value.
    pub(crate) value: f64,
}

/// The samples of `text`; comments, and lines that are none, are passed over.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(line)
}

fn line(text: &str) -> Option<Line<'_>> {
    if text.starts_with('#') {
        return None;
    }
    let name_end = text.find(['{', ' '])?;
    let (labels, raw_end) = if text.as_bytes()[name_end] == b'{' {
        let start = name_end + 1;
        let end = start + labels_end(&text[start..])?;
        (&text[start..end], end + 1)
    } else {
        ("", name_end)
    };
    // A time may follow the value.
    let value = text[raw_end..].split_ascii_whitespace().next()?;
    Some(Line {
        name: &text[..name_end],
        labels,
        raw: &text[..raw_end],
        value: value.parse().ok()?,
    })
}

/// Where the closing brace is, which may also occur within a quoted value.
fn labels_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'}' => return !quoted,
            _ => {}
        }
        false
    })
}

/// The labels within the braces, in the order written; ends early at what is not a label.
pub(crate) fn labels(mut rest: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([',', ' ']);
        let (name, after) = rest.split_once("=\"")?;
        let end = value_end(after)?;
        rest = &after[end + 1..];
        Some((name, unescape(&after[..end])))
    })
}

fn value_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, labels, value.
    type Sample<'a> = (&'a str, Vec<(&'a str, String)>, f64);

    fn read(text: &str) -> Vec<Sample<'_>> {
        lines(text)
            .map(|line| {
                let labels = labels(line.labels).map(|(name, value)| (name, value.into_owned()));
                (line.name, labels.collect(), line.value)
            })
            .collect()
    }

    #[test]
    fn samples_are_read_and_the_rest_is_passed_over() {
        let text = "# HELP a What it is.\n# TYPE a counter\na 3\n\na{x=\"1\",y=\"\"} 4.5 1700000000\nnonsense\nb{x=\"1\" 4\nc{} oops\n";
        assert_eq!(
            read(text),
            [
                ("a", vec![], 3.0),
                ("a", vec![("x", "1".into()), ("y", String::new())], 4.5),
            ]
        );
    }

    #[test]
    fn a_quoted_value_may_hold_anything() {
        let text = r#"a{route="GET /{id}, \"x\"\\",b="a=\"}"} 1"#;
        let expected = vec![
            ("route", r#"GET /{id}, "x"\"#.into()),
            ("b", r#"a="}"#.into()),
        ];
        assert_eq!(read(text), [("a", expected, 1.0)]);
    }

    #[test]
    fn the_raw_text_tells_samples_apart() {
        let raw: Vec<_> = lines("a{x=\"1\"} 2\na 3\n").map(|line| line.raw).collect();
        assert_eq!(raw, ["a{x=\"1\"}", "a"]);
    }

    #[test]
    fn a_text_cut_off_anywhere_does_no_harm() {
        let text = r#"a{x="1\"é",y="2"} 7"#;
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            for line in lines(&text[..end]) {
                labels(line.labels).count();
            }
        }
    }
}
