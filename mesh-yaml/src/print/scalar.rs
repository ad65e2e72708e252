use super::{Printer, resolve::is_another_type};

/// Width of a line, after which the next single blank breaks it.
const WIDTH: usize = 80;

/// Style of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// A `|` block that shows the lines as they are.
    Literal,
}

impl Style {
    pub(super) fn of(text: &str) -> Self {
        let is_printable = text.chars().all(is_printable);
        if text.contains('\n') {
            // Blanks at the end of a line would not be seen, and would not survive an editor.
            return if is_printable && !text.contains(" \n") && !text.ends_with(' ') {
                Self::Literal
            } else {
                Self::DoubleQuoted
            };
        }
        if is_another_type(text) || !is_printable {
            Self::DoubleQuoted
        } else if is_plain(text) {
            Self::Plain
        } else {
            Self::SingleQuoted
        }
    }

    pub(super) fn of_key(text: &str) -> Self {
        match Self::of(text) {
            Self::Literal => Self::DoubleQuoted,
            style => style,
        }
    }
}

impl Printer {
    /// Writes `text`, its further lines at `indent`; without one, all on one line.
    pub(super) fn string(&mut self, text: &str, style: Style, indent: Option<usize>) {
        match style {
            Style::Literal => self.literal(text, indent.unwrap_or_default()),
            Style::Plain => self.folded(text, style, indent),
            Style::SingleQuoted => {
                self.put('\'');
                self.folded(text, style, indent);
                self.put('\'');
            }
            Style::DoubleQuoted => {
                self.put('"');
                self.folded(text, style, indent);
                self.put('"');
            }
        }
    }

    fn folded(&mut self, text: &str, style: Style, indent: Option<usize>) {
        let mut after_blank = false;
        for (i, c) in text.char_indices() {
            let next = text[i + c.len_utf8()..].chars().next();
            let may_break = c == ' ' && !after_blank && i > 0 && next.is_some();
            after_blank = c == ' ';
            match indent {
                Some(indent) if may_break && self.column > WIDTH => {
                    // A reader makes one blank of the break, and drops blanks around it.
                    match (style, next) {
                        (Style::DoubleQuoted, Some(' ')) => {
                            self.line(indent);
                            self.put('\\');
                        }
                        (_, Some(' ')) => self.put(c),
                        _ => self.line(indent),
                    }
                }
                _ => match style {
                    Style::SingleQuoted if c == '\'' => self.text("''"),
                    Style::DoubleQuoted => self.escaped(c),
                    _ => self.put(c),
                },
            }
        }
    }

    fn line(&mut self, indent: usize) {
        self.put('\n');
        self.pad(indent);
    }

    fn escaped(&mut self, c: char) {
        let short = match c {
            '"' | '\\' => c,
            '\0' => '0',
            '\x07' => 'a',
            '\x08' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\x0b' => 'v',
            '\x0c' => 'f',
            '\r' => 'r',
            '\x1b' => 'e',
            '\u{85}' => 'N',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            c if is_printable(c) => return self.put(c),
            c => {
                let code = u32::from(c);
                return self.text(&match code {
                    0..=0xff => format!("\\x{code:02X}"),
                    0x100..=0xffff => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                });
            }
        };
        self.put('\\');
        self.put(short);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n']) {
            self.put('2');
        }
        if text == "\n" || text.ends_with("\n\n") {
            self.put('+');
        } else if !text.ends_with('\n') {
            self.put('-');
        }
        self.put('\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.pad(indent);
            }
            self.text(line);
        }
    }
}

/// Returns true if `c` is printed without an escape. Go's writer escapes characters beyond the
/// basic plane. It does not escape the line and paragraph separators, which end lines for some
/// readers.
fn is_printable(c: char) -> bool {
    match c {
        '\u{feff}' | '\u{2028}' | '\u{2029}' => false,
        '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}' => true,
        _ => false,
    }
}

/// Returns true if `text` can be a plain scalar in block context.
fn is_plain(text: &str) -> bool {
    const FIRST: &[char] = &[
        '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ',
    ];
    let bytes = text.as_bytes();
    let ends_or_blank = |i: usize| matches!(bytes.get(i), None | Some(b' '));
    let begins_wrong = text.starts_with(FIRST)
        || text.starts_with("---")
        || text.starts_with("...")
        || (text.starts_with(['?', '-']) && ends_or_blank(1));
    let breaks = |i| match bytes[i] {
        b':' => ends_or_blank(i + 1),
        b'#' => ends_or_blank(i - 1),
        _ => false,
    };
    !begins_wrong && !text.ends_with(' ') && !(0..bytes.len()).any(breaks)
}

#[cfg(test)]
mod tests {
    use super::super::to_string;
    use serde_json::json;

    #[test]
    fn quotes_stand_where_they_are_needed() {
        for (text, yaml) in [
            ("GET /v1/pets/{petId}", "GET /v1/pets/{petId}"),
            (r"/a/[^/]*\.json", r"/a/[^/]*\.json"),
            ("300ms", "300ms"),
            ("1", "\"1\""),
            ("", "\"\""),
            ("a: b", "'a: b'"),
            ("a:", "'a:'"),
            ("a:b", "a:b"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("*", "'*'"),
            ("'a'", "'''a'''"),
            ("- a", "'- a'"),
            ("-a", "-a"),
            ("?a", "?a"),
            ("---a", "'---a'"),
            (" a", "' a'"),
            ("a ", "'a '"),
            ("a\tb", "\"a\\tb\""),
            ("\x07\x1b\x7f\u{85}", "\"\\a\\e\\x7F\\N\""),
            ("a\u{feff}", "\"a\\uFEFF\""),
            ("a\u{2028}b", "\"a\\Lb\""),
            ("é日\u{a0}\u{200b}", "é日\u{a0}\u{200b}"),
            ("é😀", "\"é\\U0001F600\""),
        ] {
            assert_eq!(to_string(text).unwrap(), format!("{yaml}\n"), "{text:?}");
        }
    }

    #[test]
    fn lines_are_shown_as_they_are_unless_blanks_would_be_lost() {
        for (text, yaml) in [
            ("a\nb", "|-\n  a\n  b\n"),
            ("a\n\n b\n", "|\n  a\n\n   b\n"),
            ("a\n\n", "|+\n  a\n\n"),
            (" a\n", "|2\n   a\n"),
            ("\na", "|2-\n\n  a\n"),
            ("a \nb", "\"a \\nb\"\n"),
            ("a\nb ", "\"a\\nb \"\n"),
            ("a\n\tb", "\"a\\n\\tb\"\n"),
        ] {
            assert_eq!(
                to_string(&json!({"t": text})).unwrap(),
                format!("t: {yaml}")
            );
        }
        assert_eq!(to_string(&json!({"a\nb": 1})).unwrap(), "\"a\\nb\": 1\n");
    }

    #[test]
    fn a_line_is_broken_at_the_first_single_blank_behind_column_80() {
        let ten = "123456789 ".repeat(9);
        for (text, yaml) in [
            (
                format!("{ten}a b"),
                format!("{}\n  123456789 a b", &ten[..79]),
            ),
            // The text begins at column 3, so its 78th character is the 81st of the line.
            (
                format!("{}y z", "x".repeat(77)),
                format!("{}y\n  z", "x".repeat(77)),
            ),
            (
                format!("{} z", "x".repeat(77)),
                format!("{} z", "x".repeat(77)),
            ),
            (
                format!("{}  b c", "x".repeat(90)),
                format!("{}  b\n  c", "x".repeat(90)),
            ),
            (
                format!("{}: b", "'".repeat(40)),
                format!("'{}:\n  b'", "'".repeat(80)),
            ),
            (
                format!("{}: ", "x".repeat(90)),
                format!("'{}: '", "x".repeat(90)),
            ),
            (
                format!("\t{} b  c", "x".repeat(90)),
                format!("\"\\t{}\n  b  c\"", "x".repeat(90)),
            ),
            (
                format!("\t{}  b", "x".repeat(90)),
                format!("\"\\t{}\n  \\ b\"", "x".repeat(90)),
            ),
        ] {
            assert_eq!(
                to_string(&json!({"t": text})).unwrap(),
                format!("t: {yaml}\n")
            );
        }
        // Lines within lists of maps are indented as their neighbours are, and keys never break.
        let long = format!("{} b", "é".repeat(90));
        assert_eq!(
            to_string(&json!({"l": [{"t": long}, long]})).unwrap(),
            format!("l:\n- t: {0}\n    b\n- {0}\n  b\n", "é".repeat(90))
        );
        assert_eq!(
            to_string(&json!({ &long: 1 })).unwrap(),
            format!("{long}: 1\n")
        );
    }
}
