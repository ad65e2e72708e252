use serde::Deserialize;

/// The client of a request, as its context token describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Context {
    /// The client's namespace; empty if the token has none.
    #[serde(default)]
    pub(super) ns: String,
    /// The client itself, for logs.
    #[serde(default)]
    pub(super) pod: String,
}

impl Context {
    /// Reads a context token: JSON, or the older `ns:<namespace>`. Any other token gives an
    /// empty context, as in Linkerd.
    pub(super) fn parse(token: &str) -> Self {
        if let Some(ns) = token.strip_prefix("ns:") {
            return Self {
                ns: ns.into(),
                ..Self::default()
            };
        }
        serde_json::from_str(token).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_namespace_is_in_its_token() {
        for (token, ns) in [
            (r#"{"ns":"shop","nodeName":"n","pod":"web-0"}"#, "shop"),
            (r#"{"nodeName":"n"}"#, ""),
            ("ns:shop", "shop"),
            ("", ""),
            ("{", ""),
        ] {
            assert_eq!(Context::parse(token).ns, ns, "{token}");
        }
    }
}
