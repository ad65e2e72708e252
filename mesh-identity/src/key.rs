use crate::{Identity, error::Error};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;

/// The private key of a workload: ECDSA on P-256, the one kind that every proxy of Linkerd's takes.
///
/// It is made in the process that uses it and has no way out of it but a signature: it is neither
/// serialized nor shown.
pub struct Key(KeyPair);

impl Key {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`Error::Crypto`] if the operating system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(Self)
            .map_err(Error::crypto)
    }

    /// Returns a request for a certificate of this key, PKCS#10 in DER: the identity is its common
    /// name and its one subject alternative name.
    ///
    /// # Errors
    ///
    /// [`Error::Crypto`] if the request cannot be signed.
    pub fn signing_request(&self, identity: &Identity) -> Result<Vec<u8>, Error> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![subject(identity)?];
        params.distinguished_name = DistinguishedName::new();
        // The standard's limit of a common name is 64 characters, which longer names ignore as
        // Linkerd's do.
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, identity.as_str());
        let request = params.serialize_request(&self.0).map_err(Error::crypto)?;
        Ok(request.der().to_vec())
    }

    pub(crate) fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}

/// Returns `identity` as a subject alternative name.
pub(crate) fn subject(identity: &Identity) -> Result<SanType, Error> {
    let name = identity.as_str().try_into().map_err(Error::crypto)?;
    Ok(match identity.is_uri() {
        true => SanType::URI(name),
        false => SanType::DnsName(name),
    })
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
