/// Returns true if YAML 1.1, which Go's library follows, reads the plain scalar `text` as another
/// type than a string.
pub(super) fn is_another_type(text: &str) -> bool {
    is_word(text) || is_number(text) || is_sexagesimal(text) || is_timestamp(text)
}

fn is_word(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "", "~", "null", "y", "yes", "true", "on", "n", "no", "false", "off", "<<",
    ];
    let lower = text.to_ascii_lowercase();
    // `Yes` and `YES`, but not `yEs`.
    let is_cased = text == lower
        || text == text.to_ascii_uppercase()
        || text.chars().skip(1).eq(lower.chars().skip(1));
    let special = text.trim_start_matches(['+', '-']);
    (is_cased && WORDS.contains(&&*lower))
        || matches!(text, ".nan" | ".NaN" | ".NAN")
        || (matches!(special, ".inf" | ".Inf" | ".INF") && text.len() - special.len() <= 1)
}

fn is_number(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    let plain = text.replace('_', "");
    is_integer(&plain) || is_float(&plain)
}

/// Returns true for integers that Go's `ParseInt` or `ParseUint` reads, in any base.
fn is_integer(text: &str) -> bool {
    let (sign, digits) = signed(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', _, ..] => (16, &lower[2..]),
        [b'0', b'o', _, ..] => (8, &lower[2..]),
        [b'0', b'b', _, ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    // Of binary numbers alone, the sign may stand behind the prefix as well.
    let (sign, digits) = match (sign, radix) {
        (None, 2) => signed(digits),
        _ => (sign, digits),
    };
    let largest = match sign {
        None => u128::from(u64::MAX),
        Some('+') => i64::MAX as u128,
        Some(_) => i64::MAX as u128 + 1,
    };
    digits.chars().all(|c| c.is_digit(radix))
        && u128::from_str_radix(digits, radix).is_ok_and(|value| value <= largest)
}

/// A decimal number that is not too large to be one.
fn is_float(text: &str) -> bool {
    let (_, number) = signed(text);
    number.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && number.parse().is_ok_and(f64::is_finite)
}

fn signed(text: &str) -> (Option<char>, &str) {
    match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.chars().next(), rest),
        None => (None, text),
    }
}

/// `12:30`, which YAML 1.1 calls 750.
fn is_sexagesimal(text: &str) -> bool {
    let (_, number) = signed(text);
    let mut parts = number.split(':');
    let is_first = parts.next().is_some_and(|first| {
        first.starts_with(|c: char| c.is_ascii_digit())
            && first.bytes().all(|c| c.is_ascii_digit() || c == b'_')
    });
    let rest: Vec<_> = parts.collect();
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    let is_part =
        |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    is_first
        && is_part(last)
        && middle.iter().all(|part| is_part(part))
        && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
}

/// A date, or one with what looks like a time behind it.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(end) => (&text[..end], Some(&text[end + 1..])),
        None => (text, None),
    };
    let part = |part: &str, lengths: [usize; 2]| {
        let is_digits = part.bytes().all(|c| c.is_ascii_digit());
        (is_digits && lengths.contains(&part.len()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    let parts: Vec<_> = date.split('-').collect();
    let [year, month, day] = *parts else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) =
        (part(year, [4, 4]), part(month, [1, 2]), part(day, [1, 2]))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        _ => 0,
    };
    (1..=days).contains(&day)
        && time.is_none_or(|time| time.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_1_1_reads_as_another_type_is_told_from_text() {
        for text in [
            "",
            "~",
            "null",
            "NULL",
            "y",
            "Y",
            "yes",
            "Yes",
            "YES",
            "on",
            "off",
            "No",
            "true",
            "<<",
            ".nan",
            ".NaN",
            ".inf",
            "-.INF",
            "0",
            "1",
            "-1",
            "+1",
            "1_000",
            "010",
            "08",
            "0x1f",
            "0X1F",
            "0o7",
            "0b11",
            "0b-1",
            "-0b1",
            "1.",
            ".5",
            "1e3",
            "1E-3",
            "-1.5e+3",
            "18446744073709551615",
            "99999999999999999999",
            "12:30",
            "1:2:3.4_5",
            "-1:59",
            "2019-11-01",
            "2019-1-1",
            "2020-02-29",
            "2019-11-01 12:00:00",
            "2019-11-01T1:0:0Z",
        ] {
            assert!(is_another_type(text), "{text:?}");
        }
        for text in [
            "yEs",
            "nULL",
            "nUll",
            ".Nan",
            "--.inf",
            "-",
            "+",
            ".",
            "1e999",
            "1e",
            "+inf",
            "+nan",
            "0x",
            "0xg",
            "0x1ffffffffffffffff",
            "+0xffffffffffffffff",
            "0b2",
            "0o8",
            "1a",
            "300ms",
            "1-1",
            "12:60",
            "a:1",
            ":1",
            "1:",
            "2019-13-01",
            "2019-02-29",
            "2019-11-0",
            "19-11-01",
            "2019-11-01x",
            "2019-11-01 x",
        ] {
            assert!(!is_another_type(text), "{text:?}");
        }
    }
}
