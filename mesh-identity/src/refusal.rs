use crate::Identity;
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use std::{fmt, sync::Arc};

/// Reason for which a peer is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Its certificate has ended.
    Expired,
    /// Its certificate begins in the future: a clock is wrong.
    NotYetValid,
    /// No trust anchor leads to its certificate.
    UnknownIssuer,
    /// A signature in its chain or in the handshake is wrong.
    BadSignature,
    /// Its certificate cannot be read, or is none for this use.
    Unreadable,
    /// It is somebody else.
    WrongIdentity {
        /// The identity that was to be met.
        expected: Identity,
        /// The identities that it has.
        presented: Vec<Identity>,
    },
    /// It shows no certificate.
    NoCertificate,
    /// It speaks no TLS.
    PlainText,
    /// It speaks no TLS 1.3, or has no cipher suite or key exchange in common.
    Incompatible,
    /// It refused us, with this alert.
    RefusedByPeer(String),
    /// Anything else, in the words of the TLS library.
    Other(String),
}

impl Refusal {
    /// Returns the reason behind an error of a handshake.
    pub fn of(error: &rustls::Error) -> Self {
        use rustls::Error;
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::PlainText,
            Error::PeerIncompatible(_) => Self::Incompatible,
            Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::RefusedByPeer("a certificate is required".to_owned())
            }
            Error::AlertReceived(alert) => Self::RefusedByPeer(format!("{alert:?}")),
            other => Self::Other(other.to_string()),
        }
    }

    pub(crate) fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::BadEncoding
            | CertificateError::InvalidPurpose
            | CertificateError::InvalidPurposeContext { .. }
            | CertificateError::UnhandledCriticalExtension => Self::Unreadable,
            CertificateError::Other(other) => match other.0.downcast_ref::<Self>() {
                Some(refusal) => refusal.clone(),
                None => Self::Other(other.to_string()),
            },
            other => Self::Other(other.to_string()),
        }
    }

    /// Wraps the reason, so that [`of`](Self::of) finds it again.
    pub(crate) fn into_tls(self) -> rustls::Error {
        rustls::Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(
            self,
        ))))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("the certificate has expired"),
            Self::NotYetValid => {
                f.write_str("the certificate is not valid yet; compare the clocks of both machines")
            }
            Self::UnknownIssuer => f.write_str(
                "no trust anchor leads to the certificate; do both sides have the same anchors?",
            ),
            Self::BadSignature => f.write_str("a signature is wrong"),
            Self::Unreadable => {
                f.write_str("the certificate cannot be read, or is for another use")
            }
            Self::WrongIdentity {
                expected,
                presented,
            } => {
                write!(f, "expected {expected}, and met ")?;
                match &presented[..] {
                    [] => f.write_str("somebody without a name"),
                    [first, rest @ ..] => {
                        write!(f, "{first}")?;
                        rest.iter().try_for_each(|other| write!(f, ", {other}"))
                    }
                }
            }
            Self::NoCertificate => f.write_str("the peer shows no certificate"),
            Self::PlainText => f.write_str("the peer speaks no TLS"),
            Self::Incompatible => {
                f.write_str("the peer and we have no version or cipher suite in common")
            }
            Self::RefusedByPeer(alert) => write!(f, "the peer refused us: {alert}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Refusal {}
