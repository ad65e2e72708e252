//! TLS between workloads: version 1.3 with the parameters of Linkerd's proxy, so that either side
//! may be one.

mod client;
mod server;

pub use self::{client::client_config, server::server_config};

use crate::{Anchors, Key, Refusal, error::Error};
use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    server::ParsedCertificate,
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{
    sync::{Arc, LazyLock},
    time::SystemTime,
};

/// Cryptography of all handshakes: cipher suites of TLS 1.3, and key exchanges of which the hybrid
/// with ML-KEM comes first, so that what is recorded today stays secret from quantum computers.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        use aws_lc_rs::{cipher_suite as suite, kx_group};
        Arc::new(CryptoProvider {
            cipher_suites: vec![
                suite::TLS13_AES_128_GCM_SHA256,
                suite::TLS13_AES_256_GCM_SHA384,
                suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            kx_groups: vec![
                kx_group::X25519MLKEM768,
                kx_group::X25519,
                kx_group::SECP256R1,
                kx_group::SECP384R1,
            ],
            ..aws_lc_rs::default_provider()
        })
    });
    PROVIDER.clone()
}

/// Checks that `anchors` believe a certificate at `now`.
pub(crate) fn verify(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &Anchors,
    now: SystemTime,
) -> Result<(), Refusal> {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    verify_at(
        leaf,
        intermediates,
        anchors,
        UnixTime::since_unix_epoch(now),
    )
    .map_err(|error| Refusal::of(&error))
}

fn verify_at(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &Anchors,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let algorithms = provider().signature_verification_algorithms.all;
    rustls::client::verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &anchors.roots(),
        intermediates,
        now,
        algorithms,
    )
}

pub(crate) fn signing_key(key: &Key) -> Result<Arc<dyn SigningKey>, Error> {
    aws_lc_rs::sign::any_ecdsa_type(&key.for_tls()).map_err(Error::crypto)
}

/// Shows one certificate to everybody.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);
