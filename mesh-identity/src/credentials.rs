use crate::{Anchors, Identity, Key, Refusal, error::Error, peer, tls};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use std::{fmt, sync::Arc, time::SystemTime};

/// A workload's certificate as an authority gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The certificate, in DER.
    pub leaf: CertificateDer<'static>,
    /// Those between it and the anchor, which is not among them: the issuer's first.
    pub intermediates: Vec<CertificateDer<'static>>,
    /// The end of the certificate's life, which decides on renewal.
    pub valid_until: SystemTime,
}

/// A certificate with its key, checked and ready to be shown to peers.
#[derive(Clone)]
pub struct Credentials {
    identity: Identity,
    certified: Arc<CertifiedKey>,
    valid_until: SystemTime,
}

impl Credentials {
    /// Takes a certificate for use: if it is that of `key` and of `identity`, and if `anchors` believe
    /// it at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the reason, or [`Error::Crypto`] if the key is another.
    pub fn new(
        identity: &Identity,
        key: &Key,
        certificates: Certificates,
        anchors: &Anchors,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let Certificates {
            leaf,
            intermediates,
            valid_until,
        } = certificates;
        tls::verify(&leaf, &intermediates, anchors, now)?;
        if !peer::names(&leaf)?.contains(identity) {
            return Err(Refusal::WrongIdentity {
                expected: identity.clone(),
                presented: peer::names(&leaf)?,
            }
            .into());
        }
        let key = tls::signing_key(key)?;
        let chain = [vec![leaf], intermediates].concat();
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| {
            Error::Crypto(format!("the certificate is of another key: {error}"))
        })?;
        Ok(Self {
            identity: identity.clone(),
            certified: Arc::new(certified),
            valid_until,
        })
    }

    /// The identity that they prove.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The end of the certificate's life.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("identity", &self.identity)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}
