//! Requests for certificates, which come from outside.

use crate::{Identity, error::Error, key::subject};
use rcgen::{CertificateSigningRequestParams, DnType, DnValue, IsCa, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::CertificateSigningRequestDer;

/// The longest request that is read. One of a P-256 key with two names of 253 bytes has 800 bytes.
const MAX_BYTES: usize = 8 << 10;

/// Reads a request and checks that it is for `identity` and nothing else.
pub(super) fn read(
    request: &[u8],
    identity: &Identity,
) -> Result<CertificateSigningRequestParams, Error> {
    if request.len() > MAX_BYTES {
        let reason = format!("it has {} bytes, more than {MAX_BYTES}", request.len());
        return Err(Error::InvalidRequest(reason));
    }
    let der = CertificateSigningRequestDer::from(request);
    let read = CertificateSigningRequestParams::from_der(&der)
        .map_err(|error| Error::InvalidRequest(error.to_string()))?;
    if read.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(Error::InvalidRequest(
            "its key is not ECDSA on P-256".to_owned(),
        ));
    }
    let params = &read.params;
    if !matches!(params.is_ca, IsCa::NoCa | IsCa::ExplicitNoCa) {
        return Err(Error::InvalidRequest(
            "it asks to be an authority".to_owned(),
        ));
    }
    let wanted = subject(identity)?;
    if params.subject_alt_names != [wanted] {
        let names = params.subject_alt_names.len();
        let reason = format!(
            "it needs exactly one alternative name, {identity}; it has {names}, or another"
        );
        return Err(Error::OtherIdentity(reason));
    }
    let name = params.distinguished_name.get(&DnType::CommonName);
    match name.and_then(text) {
        // SPIRE's requests have none.
        None if name.is_none() => Ok(read),
        Some(name) if name == identity.as_str() => Ok(read),
        _ => Err(Error::OtherIdentity(format!(
            "its common name is not {identity}"
        ))),
    }
}

fn text(value: &DnValue) -> Option<&str> {
    match value {
        DnValue::Utf8String(text) => Some(text),
        DnValue::PrintableString(text) => Some(text.as_str()),
        DnValue::Ia5String(text) => Some(text.as_str()),
        _ => None,
    }
}
