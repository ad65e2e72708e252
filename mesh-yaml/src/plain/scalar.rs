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

/// Returns true for a name that may be a number in another notation than the usual one, such as
/// `+1`, `01`, `0x1` or `1.0`. Names of one number are duplicates.
pub(super) fn is_unusual_name(text: &str, style: ScalarStyle) -> bool {
    let Some(unsigned) = number(text, style) else {
        return false;
    };
    match unsigned.as_bytes() {
        [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..] => true,
        [b'0'] => text != "0",
        [b'1'..=b'9', rest @ ..] if rest.len() < EXACT_DIGITS && is_digits(rest) => {
            text.starts_with('+')
        }
        _ => is_unusual(text, style) || unsigned.replace('_', "").parse::<f64>().is_ok(),
    }
}

/// As many digits as a float holds exactly.
const EXACT_DIGITS: usize = f64::DIGITS as usize;

fn is_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
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
