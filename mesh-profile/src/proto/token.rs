use super::Error;

/// A part of a protobuf source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name, keyword or number.
    Word(&'t str),
    /// A string literal's text between the quotes, with its escapes.
    Text(&'t str),
    Symbol(char),
}

/// All tokens of `text` with their offsets.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, Error> {
    let mut tokens = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while let Some(c) = rest.chars().next() {
        let offset = text.len() - rest.len();
        let error = |message: String| Error { offset, message };
        let (token, length) = match c {
            c if c.is_ascii_whitespace() => (None, 1),
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => match rest[2..].find("*/") {
                Some(end) => (None, end + 4),
                None => return Err(error("this comment is not closed".to_owned())),
            },
            '"' | '\'' => match closing(&rest[1..], c) {
                Some(end) => (Some(Token::Text(&rest[1..=end])), end + 2),
                None => return Err(error("this text is not closed".to_owned())),
            },
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Some(Token::Word(&rest[..end])), end)
            }
            c if c.is_ascii_punctuation() => (Some(Token::Symbol(c)), 1),
            c => return Err(error(format!("unexpected character {c:?}"))),
        };
        tokens.extend(token.map(|token| (offset, token)));
        rest = &rest[length..];
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Finds the quote that ends a text, on the same line.
fn closing(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in rest.char_indices() {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(i),
            _ => {}
        }
    }
    None
}
