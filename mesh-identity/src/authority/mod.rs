//! An authority that signs the certificates of workloads.

mod request;

use crate::{
    Anchors, Certificates, Credentials, Identity, Key, anchors::certificates, error::Error,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::CertificateDer;
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Lifetime of a workload's certificate by default, 24 h.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Time by which certificates are valid before and after their lifetime, 20 s: clocks differ.
pub const CLOCK_SKEW: Duration = Duration::from_secs(20);

/// Lifetime of an authority that was made here, and of its anchor: 365 days.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// A certificate authority: an issuer below a trust anchor.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What is sent with each certificate: the issuer's own, and those between it and the anchor.
    chain: Vec<CertificateDer<'static>>,
    anchors: Anchors,
    ends: SystemTime,
    lifetime: Duration,
}

impl Authority {
    /// Makes an authority for a trust domain such as `cluster.local`, and its anchor. The key of the
    /// anchor signs the issuer and is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Crypto`] if there is no randomness.
    pub fn generate(trust_domain: &str, now: SystemTime) -> Result<Self, Error> {
        let generate = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::crypto);
        let ends = now + AUTHORITY_LIFETIME;
        let root_key = generate()?;
        let root = authority(format!("root.{trust_domain}"), &root_key, now, ends);
        let anchor = root.self_signed(&root_key).map_err(Error::crypto)?;
        let key = generate()?;
        let mut params = authority(format!("identity.{trust_domain}"), &key, now, ends);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &Issuer::new(root, root_key))
            .map_err(Error::crypto)?;
        Ok(Self {
            chain: vec![certificate.der().clone()],
            issuer: Issuer::new(params, key),
            anchors: Anchors::new(vec![anchor.der().clone()])?,
            ends,
            lifetime: LIFETIME,
        })
    }

    /// Takes an issuer from elsewhere: its certificate and those between it and an anchor, in this
    /// order, and its key, all in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] if a text cannot be read, [`Error::Crypto`] if the key is not that of the
    /// certificate, and [`Error::Refused`] if what it signs is not believed by those who have
    /// `anchors`.
    pub fn from_pem(
        chain: &str,
        key: &str,
        anchors: Anchors,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let chain = certificates(chain)?;
        let first = chain.first().ok_or_else(|| {
            Error::Unreadable("there is no certificate of the authority in the text".to_owned())
        })?;
        let key = KeyPair::from_pem(key)
            .map_err(|error| Error::Unreadable(format!("the key of the authority: {error}")))?;
        let (_, certificate) = X509Certificate::from_der(first).map_err(|error| {
            Error::Unreadable(format!("the certificate of the authority: {error}"))
        })?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(Error::Crypto(
                "the key is not that of the authority's certificate".to_owned(),
            ));
        }
        let ends = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let issuer = Issuer::from_ca_cert_der(first, key).map_err(|error| {
            Error::Unreadable(format!("the certificate of the authority: {error}"))
        })?;
        let authority = Self {
            issuer,
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(ends),
            chain,
            anchors,
            lifetime: LIFETIME,
        };
        // One of its certificates shows whether the chain leads to an anchor.
        let probe: Identity = "probe.identity".parse().map_err(Error::crypto)?;
        let key = Key::generate()?;
        let certified = authority.certify(&key.signing_request(&probe)?, &probe, now)?;
        Credentials::new(&probe, &key, certified, &authority.anchors, now)?;
        Ok(authority)
    }

    /// Sets the lifetime of the certificates of workloads; the default is 24 h.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The anchors that believe in this authority.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The end of the authority's own certificate.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// Signs a request (PKCS#10, DER) of a workload that has proven to be `identity`.
    ///
    /// The request is refused as Linkerd's issuer refuses it: if its signature is wrong, if it has
    /// another common name or other names than the one of `identity`, or asks to be an authority.
    /// Nothing but its key goes into the certificate.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`], [`Error::OtherIdentity`], or [`Error::IssuerExpired`].
    pub fn certify(
        &self,
        request: &[u8],
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Certificates, Error> {
        let mut request = request::read(request, identity)?;
        // No certificate outlives its authority.
        let until = self.ends.min(now + self.lifetime);
        if until <= now {
            return Err(Error::IssuerExpired);
        }
        let params = &mut request.params;
        *params = CertificateParams::default();
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = self.ends.min(until + CLOCK_SKEW).into();
        params.subject_alt_names = vec![crate::key::subject(identity)?];
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, identity.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let leaf = request.signed_by(&self.issuer).map_err(Error::crypto)?;
        Ok(Certificates {
            leaf: leaf.der().clone(),
            intermediates: self.chain.clone(),
            valid_until: until,
        })
    }
}

/// The certificate of an authority. A part of its key is in its name: two authorities of one trust
/// domain are told apart, and a certificate of the other one is of an unknown issuer, not forged.
fn authority(
    name: String,
    key: &KeyPair,
    from: SystemTime,
    until: SystemTime,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (from - CLOCK_SKEW).into();
    params.not_after = until.into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // The first byte says that the point is not compressed.
    let start = key.public_key_raw().iter().skip(1).take(8);
    let start: String = start.map(|byte| format!("{byte:02x}")).collect();
    params
        .distinguished_name
        .push(DnType::OrganizationalUnitName, start);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("ends", &self.ends)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
