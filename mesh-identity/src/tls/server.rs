use super::{Shown, provider};
use crate::{Anchors, Credentials};
use rustls::{
    Error, ServerConfig,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    time_provider::TimeProvider,
    version::TLS13,
};
use std::sync::Arc;

/// Returns the configuration of connections from others: it shows `credentials`, and asks each client
/// for its certificate. One that `anchors` do not believe ends the handshake; a client without any
/// gets in, and [`identity`](crate::identity) of its certificates is none: whether it may ask for
/// anything is a matter of policy.
///
/// Make a new one when credentials or anchors change; connections that are open stay. There is no
/// resumption: each handshake checks certificates anew.
///
/// # Errors
///
/// [`Error`] if the cryptographic library has no TLS 1.3.
pub fn server_config(
    credentials: &Credentials,
    anchors: &Anchors,
    clock: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(anchors.roots(), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Shown(credentials.certified())));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
