use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE},
};

/// The headers whose values are hidden.
#[derive(Clone, Debug)]
pub(crate) struct Redact(Vec<HeaderName>);

impl Redact {
    pub(crate) fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// A copy that keeps the names of secrets and replaces their values. Values that were marked
    /// as sensitive are secrets, whatever their name.
    pub(crate) fn copy(&self, headers: &HeaderMap) -> HeaderMap {
        let mut copy = headers.clone();
        for (name, value) in &mut copy {
            if value.is_sensitive() || self.0.contains(name) {
                *value = HeaderValue::from_static("[redacted]");
            }
        }
        copy
    }

    /// A copy of a query that keeps the names of its secrets and replaces their values.
    pub(crate) fn query(query: &str) -> String {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}=[redacted]"),
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// Parts of names of query parameters whose values are hidden, as they grant access.
const SECRETS: [&str; 11] = [
    "auth", "code", "cred", "jwt", "key", "pass", "pwd", "secret", "session", "sig", "token",
];

/// Names are not decoded: one that hides itself in escapes is a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains('%') || SECRETS.iter().any(|secret| name.contains(secret))
}

impl Default for Redact {
    fn default() -> Self {
        Self::new([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_query_are_replaced() {
        for (query, shown) in [
            ("q=moby&page=2", "q=moby&page=2"),
            ("access_token=a=b&q", "access_token=[redacted]&q"),
            ("X-Amz-Signature=abc", "X-Amz-Signature=[redacted]"),
            (
                "%74oken=abc&apiKey=1",
                "%74oken=[redacted]&apiKey=[redacted]",
            ),
            ("", ""),
        ] {
            assert_eq!(Redact::query(query), shown);
        }
    }

    #[test]
    fn every_value_of_a_secret_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("a=1"));
        headers.append(SET_COOKIE, HeaderValue::from_static("b=2"));
        headers.append("x-plain", HeaderValue::from_static("shown"));
        let mut sensitive = HeaderValue::from_static("marked");
        sensitive.set_sensitive(true);
        headers.append("x-key", sensitive);

        let copy = Redact::default().copy(&headers);
        let text = format!("{copy:?}");
        assert_eq!(text.matches("[redacted]").count(), 3, "{text}");
        assert_eq!(copy["x-plain"], "shown");

        let copy = Redact::new([]).copy(&headers);
        assert_eq!(copy[SET_COOKIE], "a=1");
        assert_eq!(copy["x-key"], "[redacted]");
    }
}
