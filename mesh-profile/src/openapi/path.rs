use super::document::Server;
use std::borrow::Cow;

/// `base` and `path` with exactly one slash between them.
pub(super) fn join(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    let path = path.trim_start_matches('/');
    format!("{base}/{path}")
}

/// The regex of a templated path: literal but for each `{...}`, which is `[^/]*`.
///
/// What is escaped is what Go's `regexp.QuoteMeta` escapes, to the character; Rust's
/// `regex::escape` escapes more.
pub(super) fn regex(path: &str) -> String {
    let mut regex = String::with_capacity(path.len() + 16);
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        // A group ends at the first closing brace; one that is never closed is literal.
        let group = (c == '{').then(|| rest.find('}')).flatten();
        match group {
            Some(end) => {
                regex.push_str("[^/]*");
                rest = &rest[end + 1..];
            }
            None => {
                if r"\.+*?()|[]{}^$".contains(c) {
                    regex.push('\\');
                }
                regex.push(c);
            }
        }
    }
    regex
}

/// The path of a server's URL, its variables replaced by their defaults.
pub(super) fn of_server(server: &Server<'_>) -> Option<String> {
    let url = server.url.as_deref()?;
    let mut url = Cow::Borrowed(url);
    for (name, default) in &server.variables {
        url = Cow::Owned(url.replace(&format!("{{{name}}}"), default));
    }
    // Absolute, or without scheme, or a path already.
    let after_host = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => match url.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => &url,
        },
    };
    let end = after_host.find(['?', '#']).unwrap_or(after_host.len());
    let path = after_host[..end].trim_end_matches('/');
    Some(match path.trim_start_matches("./") {
        "" | "." => String::new(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    })
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
            ("v1", "/a", "v1/a"),
        ] {
            assert_eq!(join(base, path), expected);
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
