//! The names in a peer's certificate.

use crate::{Identity, Refusal};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Returns the identity of a peer: the first DNS or URI name of its certificate, if it has one.
///
/// `certificates` are those of a finished handshake, the peer's own first.
pub fn identity(certificates: &[CertificateDer<'_>]) -> Option<Identity> {
    names(certificates.first()?).ok()?.into_iter().next()
}

/// Returns all DNS and URI names of a certificate that are identities, in their order.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Result<Vec<Identity>, Refusal> {
    let unreadable = |_| Refusal::Unreadable;
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(unreadable)?;
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| Refusal::Unreadable)?;
    let names = extension.into_iter().flat_map(|it| &it.value.general_names);
    let texts = names.filter_map(|name| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) => Some(*text),
        _ => None,
    });
    Ok(texts.filter_map(|text| text.parse().ok()).collect())
}
