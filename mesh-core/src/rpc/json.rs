//! As much JSON as finding a member of an object takes.

/// The value of the member `name` of the object `text`: `Some(None)` if there is no such member,
/// `None` if `text` is no object. Of several the last counts. Names with escapes are not unescaped.
///
/// Values are passed over without a look at their grammar: strings and brackets are matched.
pub(super) fn member<'a>(text: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    let mut rest = text.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let mut found = None;
    if let Some(end) = rest.strip_prefix(b"}") {
        return end.is_empty().then_some(None);
    }
    loop {
        let key = rest.get(..string(rest)?)?;
        rest = rest[key.len()..].trim_ascii_start();
        rest = rest.strip_prefix(b":")?.trim_ascii_start();
        let value = rest.get(..value(rest)?)?;
        rest = rest[value.len()..].trim_ascii_start();
        if key.get(1..key.len() - 1) == Some(name.as_bytes()) {
            found = Some(value);
        }
        let (next, after) = rest.split_first()?;
        match next {
            b',' => rest = after.trim_ascii_start(),
            b'}' => return after.is_empty().then_some(found),
            _ => return None,
        }
    }
}

/// Length of the string that `text` begins with, quotes included.
fn string(text: &[u8]) -> Option<usize> {
    let mut bytes = text.iter().enumerate();
    if bytes.next()?.1 != &b'"' {
        return None;
    }
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => {
                bytes.next()?;
            }
            _ => {}
        }
    }
    None
}

/// Length of the value that `text` begins with.
fn value(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at += string(&text[at..])?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            break;
        }
    }
    (at > 0 && depth == 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Option<&str>> {
        let member = member(text.as_bytes(), "a")?;
        Some(member.map(|value| std::str::from_utf8(value).unwrap()))
    }

    #[test]
    fn a_member_is_found_among_others() {
        for (text, expected) in [
            ("{}", Some(None)),
            (r#"{"a":1}"#, Some(Some("1"))),
            (
                r#"{"b":{"a":2},"a" : [1, {"a":3}] , "c":"}"}"#,
                Some(Some(r#"[1, {"a":3}]"#)),
            ),
            (r#"{"a":"x\"}","b":null}"#, Some(Some(r#""x\"}""#))),
            (r#"{"a":1,"a":true}"#, Some(Some("true"))),
            (r#"{"b":"\\"}"#, Some(None)),
            ("{ }", Some(None)),
            ("{}x", None),
            (r#"{"a":}"#, None),
            (r#"{"a":1"#, None),
            (r#"{"a":[1}"#, None),
            (r#"{"a"}"#, None),
            (r#"{a:1}"#, None),
            (r#"{"a":1,}"#, None),
            ("\"", None),
            (r#"{"\"#, None),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
