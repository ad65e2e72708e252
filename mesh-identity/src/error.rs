use std::fmt;

/// Error of a key, a certificate or an authority.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The cryptographic library refused: it has no randomness, or the key is of no known kind.
    Crypto(String),
    /// A text of certificates or of a key cannot be read.
    Unreadable(String),
    /// A request for a certificate cannot be read, or its signature is not that of its key.
    InvalidRequest(String),
    /// A request for a certificate asks for another name than the identity of its sender.
    OtherIdentity(String),
    /// The authority's own certificate has ended, or is about to.
    IssuerExpired,
    /// A chain of certificates is refused.
    Refused(crate::Refusal),
}

impl Error {
    pub(crate) fn crypto(error: impl fmt::Display) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crypto(reason) => write!(f, "cannot make a key or sign with it: {reason}"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::InvalidRequest(reason) => {
                write!(f, "the request for a certificate is not valid: {reason}")
            }
            Self::OtherIdentity(reason) => {
                write!(f, "the request for a certificate is for another identity: {reason}")
            }
            Self::IssuerExpired => f.write_str(
                "the certificate of the authority has ended; give it another one, or let it make one",
            ),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<crate::Refusal> for Error {
    fn from(refusal: crate::Refusal) -> Self {
        Self::Refused(refusal)
    }
}
