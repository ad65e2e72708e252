use super::{Shown, provider, verify_at};
use crate::{Anchors, Credentials, Identity, Refusal, peer};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{verify_tls12_signature, verify_tls13_signature},
    sign::CertifiedKey,
    time_provider::TimeProvider,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// Returns the configuration of connections to `server`: it shows `credentials`, and goes on only
/// with a peer that proves to be `server`. Make a new one when credentials or anchors change;
/// connections that are open stay.
///
/// There is no ALPN, as Linkerd has it, and no resumption: each handshake checks certificates anew.
///
/// # Errors
///
/// [`Error`] if the cryptographic library has no TLS 1.3.
pub fn client_config(
    credentials: &Credentials,
    anchors: &Anchors,
    server: Identity,
    clock: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Error> {
    let verifier = ServerVerifier {
        anchors: anchors.clone(),
        expected: server,
    };
    let mut config = ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Shown(credentials.certified())));
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Believes a server that an anchor vouches for and that has the expected identity, whatever its
/// name in the handshake.
#[derive(Debug)]
struct ServerVerifier {
    anchors: Anchors,
    expected: Identity,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_at(leaf, intermediates, &self.anchors, now)?;
        let presented = peer::names(leaf).map_err(Refusal::into_tls)?;
        if !presented.contains(&self.expected) {
            let expected = self.expected.clone();
            return Err(Refusal::WrongIdentity {
                expected,
                presented,
            }
            .into_tls());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
