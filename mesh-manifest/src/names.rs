//! The names that Kubernetes allows, with the words it refuses others in.

use std::fmt;

/// A name that Kubernetes does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName(&'static str);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidName {}

/// Checks the name of a service: an RFC 1035 label.
///
/// # Errors
///
/// [`InvalidName`] says what such a label consists of.
pub fn check_service(name: &str) -> Result<(), InvalidName> {
    if !is_label(name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(InvalidName(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
             with an alphabetic character, and end with an alphanumeric character (e.g. \
             'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ));
    }
    check_length(name, 63)
}

/// Checks the name of a namespace: an RFC 1123 label.
///
/// # Errors
///
/// [`InvalidName`] says what such a label consists of.
pub fn check_namespace(name: &str) -> Result<(), InvalidName> {
    if !is_label(name) {
        return Err(InvalidName(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
             '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ));
    }
    check_length(name, 63)
}

/// Checks the name of an object: an RFC 1123 subdomain.
///
/// # Errors
///
/// [`InvalidName`] says what such a subdomain consists of.
pub fn check_subdomain(name: &str) -> Result<(), InvalidName> {
    if !name.split('.').all(is_label) {
        return Err(InvalidName(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ));
    }
    check_length(name, 253)
}

fn check_length(name: &str, most: usize) -> Result<(), InvalidName> {
    match name.len() <= most {
        true => Ok(()),
        false if most == 63 => Err(InvalidName("must be no more than 63 characters")),
        false => Err(InvalidName("must be no more than 253 characters")),
    }
}

fn is_label(name: &str) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let bytes = name.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|c| edge(Some(c)) || *c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        let long = "a".repeat(64);
        for (name, service, namespace, subdomain) in [
            ("books", true, true, true),
            ("books-2", true, true, true),
            ("2-books", false, true, true),
            ("", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("Books", false, false, false),
            ("a.b.svc.cluster.local", false, false, true),
            ("a..b", false, false, false),
            ("a.b.", false, false, false),
            (&long, false, false, true),
        ] {
            assert_eq!(check_service(name).is_ok(), service, "{name}");
            assert_eq!(check_namespace(name).is_ok(), namespace, "{name}");
            assert_eq!(check_subdomain(name).is_ok(), subdomain, "{name}");
        }
    }
}
