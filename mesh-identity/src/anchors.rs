use crate::error::Error;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{fmt, sync::Arc};

/// The most certificates of one bundle.
const MAX_ANCHORS: usize = 64;

/// Trust anchors: the certificates of authorities that are believed. Several at once let them be
/// rotated: first the new one is believed everywhere, then it signs, then the old one is dropped.
#[derive(Clone)]
pub struct Anchors {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

impl Anchors {
    /// Reads a bundle: one or more certificates in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] if there is no certificate, more than 64, or one that is no anchor.
    pub fn from_pem(bundle: &str) -> Result<Self, Error> {
        Self::new(certificates(bundle)?)
    }

    /// Takes these certificates, in DER, as anchors.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn new(mut certificates: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut seen = Vec::new();
        certificates.retain(|it| {
            let is_new = !seen.contains(it);
            seen.extend(is_new.then(|| it.clone()));
            is_new
        });
        if certificates.is_empty() || certificates.len() > MAX_ANCHORS {
            let count = certificates.len();
            let reason = format!(
                "a bundle of trust anchors has 1 to {MAX_ANCHORS} certificates, not {count}"
            );
            return Err(Error::Unreadable(reason));
        }
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            roots.add(certificate.clone()).map_err(|error| {
                let place = index + 1;
                Error::Unreadable(format!(
                    "certificate {place} of the bundle is no trust anchor: {error}"
                ))
            })?;
        }
        Ok(Self {
            certificates,
            roots: Arc::new(roots),
        })
    }

    /// Returns these anchors and those of `other`, each once.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] if they are more than 64.
    pub fn with(&self, other: &Self) -> Result<Self, Error> {
        Self::new([&*self.certificates, &*other.certificates].concat())
    }

    /// The certificates, in DER.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The bundle in PEM.
    pub fn to_pem(&self) -> String {
        self.certificates.iter().map(to_pem).collect()
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        self.roots.clone()
    }
}

/// Reads all certificates of a text in PEM.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Unreadable(format!("the certificates are no PEM: {error}")))
}

/// A certificate in PEM (RFC 7468).
pub(crate) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate.as_ref()), config)
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.certificates.len();
        f.debug_struct("Anchors")
            .field("certificates", &count)
            .finish()
    }
}
