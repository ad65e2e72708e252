use crate::output::Refusal;
use anyhow::Result;
use http::{Method, Uri};
use std::str::FromStr;

/// Target of a request: a URL with or without its scheme, or a path alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    authority: Option<String>,
    /// Without query, which no route looks at.
    pub(super) path: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = if text.starts_with('/') || text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url: Uri = url
            .parse()
            .map_err(|error| format!("{error}; write http://SERVICE:PORT/PATH, or /PATH"))?;
        match url.scheme_str() {
            None | Some("http") => {}
            Some("https") => {
                return Err(
                    "the mesh passes https on as it is and sees no request in it: \
                     no route, no timeout, no retry"
                        .to_owned(),
                );
            }
            Some(other) => return Err(format!("{other} is not spoken here; write http://")),
        }
        Ok(Self {
            authority: url.authority().map(ToString::to_string),
            path: url.path().to_owned(),
        })
    }
}

impl Target {
    /// The destination: in the URL, else in the Host among `headers`.
    pub(super) fn authority(&self, headers: &[String]) -> Result<Option<String>> {
        let mut host = None;
        for header in headers {
            let Some((name, value)) = header.split_once(':') else {
                let reason = format!("`{header}` is no header; write NAME: VALUE");
                return Err(Refusal::Usage(reason).into());
            };
            if name.trim().eq_ignore_ascii_case("host") {
                host.get_or_insert(value.trim());
            }
        }
        Ok(self.authority.clone().or(host.map(str::to_owned)))
    }
}

/// A method; case matters on the wire, and nobody who writes `get` means another than `GET`.
pub(super) fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    let known = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    ];
    let text = if known.contains(&&*upper) {
        &upper
    } else {
        text
    };
    text.parse()
        .map_err(|_| format!("`{text}` is no method; write one like GET"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_or_a_path() {
        for (text, authority, path) in [
            (
                "http://books:7002/books/1.json?x=y",
                "books:7002",
                "/books/1.json",
            ),
            ("http://books", "books", "/"),
            ("books:7002/a", "books:7002", "/a"),
            ("/a?b", "", "/a"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.authority.unwrap_or_default(), authority, "{text}");
            assert_eq!(target.path, path, "{text}");
        }
        for (text, reason) in [
            ("", "SERVICE:PORT"),
            ("http://a/b c", "SERVICE:PORT"),
            ("https://books:7002/", "https"),
            ("ftp://books/", "ftp"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_host_counts_where_the_url_names_none() {
        let headers = ["X-A: b".to_owned(), "host:  books:7002 ".to_owned()];
        let of = |text: &str| text.parse::<Target>().unwrap().authority(&headers).unwrap();
        assert_eq!(of("/a").as_deref(), Some("books:7002"));
        assert_eq!(of("http://authors/a").as_deref(), Some("authors"));
        let target: Target = "/a".parse().unwrap();
        assert!(target.authority(&["nonsense".to_owned()]).is_err());
        assert_eq!(target.authority(&[]).unwrap(), None);
    }

    #[test]
    fn methods_may_be_written_small() {
        assert_eq!(method("get").unwrap(), Method::GET);
        assert_eq!(method("Purge").unwrap().as_str(), "Purge");
        assert!(method("GE T").is_err());
    }
}
