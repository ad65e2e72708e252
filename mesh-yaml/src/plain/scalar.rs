use granit_parser::ScalarStyle;

/// Returns true for a value that `serde-saphyr` may refuse even when skipped: a number that is not
/// finite.
pub(super) fn is_unusual(text: &str, style: ScalarStyle) -> bool {
    let Some(unsigned) = number(text, style) else {
        return false;
    };
    match unsigned.strip_prefix('.') {
        Some(rest) => ["inf", "nan"]
            .iter()
            .any(|word| rest.eq_ignore_ascii_case(word)),
        None => {
            (unsigned.contains(['e', 'E']) || unsigned.len() > f64::MAX_10_EXP as usize)
                && unsigned
                    .parse()
                    .is_ok_and(|number: f64| !number.is_finite())
        }
    }
}

/// Returns true for a name that may be an integer in another notation, such as `+1` or `0x1`. Names
/// of one integer are duplicates.
pub(super) fn is_unusual_name(text: &str, style: ScalarStyle) -> bool {
    let Some(unsigned) = number(text, style) else {
        return false;
    };
    let is_digit = |b: u8| b.is_ascii_digit() || b == b'_';
    match unsigned.as_bytes() {
        [b'0'] => text != "0",
        [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..] => true,
        [b'1'..=b'9', ..] if unsigned.bytes().all(is_digit) => {
            text.starts_with('+') || text.contains('_')
        }
        _ => is_unusual(text, style),
    }
}

/// Without its sign what may be a number, by its first byte.
fn number(text: &str, style: ScalarStyle) -> Option<&str> {
    let is_plain = style == ScalarStyle::Plain;
    let starts_so = matches!(text.as_bytes(), [b'0'..=b'9' | b'+' | b'-' | b'.', ..]);
    (is_plain && starts_so).then(|| text.strip_prefix(['+', '-']).unwrap_or(text))
}

/// Returns true for a plain scalar that may be another type than text, and whose meaning does not
/// depend on its context.
pub(super) fn is_word(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
}

pub(super) fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
