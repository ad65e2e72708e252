use super::document::Server;
use std::borrow::Cow;

/// Joins `base` and `path` with exactly one slash between them.
pub(super) fn join(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    let path = path.trim_start_matches('/');
    format!("{base}/{path}")
}

/// Splits a key of `paths` into its path and its query or fragment.
///
/// A route matches the path alone. Query expansions of URI templates (`{?page}`) belong to the
/// query; a question mark within a parameter (`{id?}`) belongs to the path.
pub(super) fn split_query(key: &str) -> (&str, &str) {
    let mut from = 0;
    let is_special = |byte: &u8| matches!(byte, b'?' | b'#' | b'{');
    while let Some(found) = key.as_bytes()[from..].iter().position(is_special) {
        let at = from + found;
        let after = &key[at + 1..];
        if !key[at..].starts_with('{') || after.starts_with(['?', '#', '&']) {
            return key.split_at(at);
        }
        from = at + 1 + after.find('}').map_or(0, |end| end + 1);
    }
    (key, "")
}

/// Returns the regex of a templated path: literal text, with `[^/]*` for each `{...}`.
///
/// The escaped characters are exactly those of Go's `regexp.QuoteMeta`; Rust's `regex::escape`
/// escapes more.
pub(super) fn regex(path: &str) -> String {
    let mut regex = String::with_capacity(path.len() + 16);
    for part in parts(path) {
        match part {
            None => regex.push_str("[^/]*"),
            Some(c) => {
                if is_meta(c) {
                    regex.push('\\');
                }
                regex.push(c);
            }
        }
    }
    regex
}

fn is_meta(c: char) -> bool {
    matches!(
        c,
        '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$'
    )
}

/// Returns the first literal character of a templated path that clients percent-encode.
pub(super) fn first_encoded(path: &str) -> Option<char> {
    let is_sent_as_is =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`');
    if path.bytes().all(is_sent_as_is) {
        return None;
    }
    let is_encoded = |c: &char| !u8::try_from(*c).is_ok_and(is_sent_as_is);
    parts(path).flatten().find(is_encoded)
}

/// Returns the percent-encoded form of a character.
pub(super) fn percent_encode(c: char) -> String {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

/// Divides a templated path into literal characters and groups; a group is `None`.
///
/// A group ends at its first closing brace. A group that is never closed is literal.
fn parts(path: &str) -> impl Iterator<Item = Option<char>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        let end = (c == '{').then(|| rest.find('}')).flatten();
        Some(match end {
            Some(end) => {
                rest = &rest[end + 1..];
                None
            }
            None => Some(c),
        })
    })
}

/// Returns the path of a server's URL, with the defaults of its variables.
pub(super) fn of_server(server: &Server<'_>) -> Option<String> {
    let url = server.url.as_deref()?;
    let mut url = Cow::Borrowed(url);
    for (name, default) in &server.variables {
        url = Cow::Owned(url.replace(&format!("{{{name}}}"), default));
    }
    let path = match url.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => &url,
    };
    Some(base(path))
}

/// Returns the path in front of all paths: a URL's, or `text` itself, without query or fragment.
///
/// The result is empty, or begins with exactly one slash and does not end with one.
pub(super) fn base(text: &str) -> String {
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => text,
    };
    let (path, _) = split_query(path);
    match path.trim_start_matches("./").trim_matches('/') {
        "" | "." => String::new(),
        path => format!("/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_wildcards_and_the_rest_is_literal() {
        for (path, expected) in [
            ("/", "/"),
            ("/v1/orders/{id}.json", r"/v1/orders/[^/]*\.json"),
            ("/{a}.{b}", r"/[^/]*\.[^/]*"),
            ("/{a}:undelete", "/[^/]*:undelete"),
            ("/a-b_c~d#e&f", "/a-b_c~d#e&f"),
            (r"/\.+*?()|[]^$", r"/\\\.\+\*\?\(\)\|\[\]\^\$"),
            ("/{}", "/[^/]*"),
            ("/{a{b}", "/[^/]*"),
            ("/{a{b}}", r"/[^/]*\}"),
            ("/{a", r"/\{a"),
            ("/a}", r"/a\}"),
            ("/{a/b}/c", "/[^/]*/c"),
            ("/é/{ü}", "/é/[^/]*"),
        ] {
            assert_eq!(regex(path), expected, "{path}");
        }
    }

    #[test]
    fn one_slash_joins_base_and_path() {
        for (base, path, expected) in [
            ("", "/a", "/a"),
            ("/", "/a", "/a"),
            ("/v1/", "/", "/v1/"),
            ("/v1", "//a", "/v1/a"),
        ] {
            assert_eq!(join(base, path), expected);
        }
    }

    #[test]
    fn characters_that_clients_encode_are_found_in_literals() {
        for (path, expected) in [
            ("/a-b_c~d@e!/{f g}", None),
            ("/a b", Some("%20")),
            ("/<a>", Some("%3C")),
            ("/a\t", Some("%09")),
            ("/é", Some("%C3%A9")),
        ] {
            let found = first_encoded(path).map(percent_encode);
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_key_is_a_path_and_a_query() {
        for (key, path, query) in [
            ("/a", "/a", ""),
            ("/a?b=c#d", "/a", "?b=c#d"),
            ("/#a?b", "/", "#a?b"),
            ("/{a?}/b?c", "/{a?}/b", "?c"),
            ("/a{?b,c}", "/a", "{?b,c}"),
            ("/{a/b?c", "/{a/b", "?c"),
            ("/{a}{#b}", "/{a}", "{#b}"),
        ] {
            assert_eq!(split_query(key), (path, query));
        }
    }

    #[test]
    fn a_base_begins_with_one_slash() {
        for (text, expected) in [
            ("", ""),
            ("/", ""),
            ("//", ""),
            ("/v1/", "/v1"),
            ("v2/", "/v2"),
            ("//api//", "/api"),
            ("/a//b", "/a//b"),
            ("https://example.com/v1", "/v1"),
            ("https://example.com", ""),
            ("/v1?x", "/v1"),
        ] {
            assert_eq!(base(text), expected);
        }
    }

    #[test]
    fn a_server_gives_the_path_of_its_url() {
        for (url, expected) in [
            ("https://api.github.com", ""),
            ("https://example.com/", ""),
            ("https://example.com/v1/", "/v1"),
            ("https://{host}:{port}/{base}/x?y#z", "/v2/x"),
            ("//example.com/v1", "/v1"),
            ("/api/v3", "/api/v3"),
            ("api", "/api"),
            (".", ""),
            ("./api", "/api"),
            ("", ""),
            ("https://example.com//v1//", "/v1"),
        ] {
            let server = Server {
                url: Some(url.into()),
                variables: vec![("base".into(), "v2".into()), ("port".into(), "443".into())],
                ..Server::default()
            };
            assert_eq!(of_server(&server).unwrap(), expected, "{url}");
        }
        assert_eq!(of_server(&Server::default()), None);
    }
}
