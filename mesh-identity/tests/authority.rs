//! What an authority signs, and what it refuses.

use mesh_identity::{Anchors, Authority, Credentials, Error, Identity, Key};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SanType,
};
use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_083_200)
}

fn web() -> Identity {
    "web.shop".parse().unwrap()
}

/// A request with these names, for a key of this kind.
fn request(
    common_name: Option<&str>,
    names: Vec<SanType>,
    change: impl Fn(&mut CertificateParams),
) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = names;
    change(&mut params);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::generate("cluster.local", now()).unwrap());

fn refused(request: &[u8]) -> Error {
    AUTHORITY.certify(request, &web(), now()).unwrap_err()
}

#[test]
fn a_request_is_for_one_name_and_that_of_its_sender() {
    let same = |_: &mut CertificateParams| {};
    for good in [
        request(Some("web.shop"), vec![dns("web.shop")], same),
        request(None, vec![dns("web.shop")], same),
    ] {
        assert!(AUTHORITY.certify(&good, &web(), now()).is_ok());
    }
    let uri = SanType::URI("spiffe://a/b".try_into().unwrap());
    let mail = SanType::Rfc822Name("a@b.c".try_into().unwrap());
    let address = SanType::IpAddress([127, 0, 0, 1].into());
    for bad in [
        request(Some("web.shop"), vec![dns("books.shop")], same),
        request(Some("books.shop"), vec![dns("web.shop")], same),
        request(Some("web.shop"), vec![], same),
        request(
            Some("web.shop"),
            vec![dns("web.shop"), dns("books.shop")],
            same,
        ),
        request(Some("web.shop"), vec![dns("web.shop"), uri.clone()], same),
        request(Some("web.shop"), vec![dns("web.shop"), mail], same),
        request(Some("web.shop"), vec![dns("web.shop"), address], same),
        request(Some("web.shop"), vec![uri], same),
    ] {
        assert!(matches!(refused(&bad), Error::OtherIdentity(_)));
    }
}

#[test]
fn nobody_becomes_an_authority() {
    let bad = request(Some("web.shop"), vec![dns("web.shop")], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert!(
        refused(&bad)
            .to_string()
            .contains("asks to be an authority")
    );
}

#[test]
fn only_keys_that_every_proxy_takes_are_signed() {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![dns("web.shop")];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let request = params.serialize_request(&key).unwrap();
    assert!(
        refused(request.der())
            .to_string()
            .contains("not ECDSA on P-256")
    );
}

#[test]
fn a_spiffe_uri_is_an_identity_as_well() {
    let name: Identity = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let key = Key::generate().unwrap();
    let request = key.signing_request(&name).unwrap();
    let certificates = AUTHORITY.certify(&request, &name, now()).unwrap();
    let leaf = [certificates.leaf.clone()];
    assert_eq!(mesh_identity::identity(&leaf), Some(name.clone()));
    assert!(Credentials::new(&name, &key, certificates, AUTHORITY.anchors(), now()).is_ok());
}

#[test]
fn no_certificate_outlives_the_authority() {
    let key = Key::generate().unwrap();
    let request = key.signing_request(&web()).unwrap();
    let late = AUTHORITY.ends() - Duration::from_secs(60);
    let certificates = AUTHORITY.certify(&request, &web(), late).unwrap();
    assert_eq!(certificates.valid_until, AUTHORITY.ends());
    let error = AUTHORITY
        .certify(&request, &web(), AUTHORITY.ends())
        .unwrap_err();
    assert!(matches!(error, Error::IssuerExpired));
}

/// An authority as somebody else makes it: the chain, the key and the anchor in PEM.
fn foreign() -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let unique = format!("{:?}", root_key.public_key_raw());
    params
        .distinguished_name
        .push(DnType::CommonName, &unique[..60]);
    let root = params.self_signed(&root_key).unwrap();
    let root_params = params.clone();
    params.distinguished_name.push(DnType::CommonName, "issuer");
    let key = KeyPair::generate().unwrap();
    let issuer = params
        .signed_by(&key, &Issuer::new(root_params, root_key))
        .unwrap();
    (issuer.pem(), key.serialize_pem(), root.pem())
}

#[test]
fn an_issuer_from_elsewhere_is_taken_if_its_anchor_believes_it() {
    let (chain, key, root) = foreign();
    let anchors = Anchors::from_pem(&root).unwrap();
    let authority = Authority::from_pem(&chain, &key, anchors.clone(), now()).unwrap();
    let own = Key::generate().unwrap();
    let request = own.signing_request(&web()).unwrap();
    let certificates = authority.certify(&request, &web(), now()).unwrap();
    assert!(Credentials::new(&web(), &own, certificates, &anchors, now()).is_ok());

    let (_, other_key, other_root) = foreign();
    let error = Authority::from_pem(&chain, &other_key, anchors.clone(), now()).unwrap_err();
    assert!(
        error.to_string().contains("not that of the authority"),
        "{error}"
    );
    let others = Anchors::from_pem(&other_root).unwrap();
    let error = Authority::from_pem(&chain, &key, others, now()).unwrap_err();
    assert!(
        error.to_string().contains("no trust anchor leads"),
        "{error}"
    );
    for (chain, key) in [("", &*key), ("nonsense", &key), (&chain, "nonsense")] {
        let error = Authority::from_pem(chain, key, anchors.clone(), now()).unwrap_err();
        assert!(matches!(error, Error::Unreadable(_)), "{error}");
    }
}

#[test]
fn a_bundle_has_anchors_and_is_written_as_it_is_read() {
    let (.., first) = foreign();
    let (.., second) = foreign();
    let anchors = Anchors::from_pem(&format!("{first}\n# the next one\n{second}{first}")).unwrap();
    assert_eq!(anchors.certificates().len(), 2);
    let again = Anchors::from_pem(&anchors.to_pem()).unwrap();
    assert_eq!(again.certificates(), anchors.certificates());
    for bad in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(
            matches!(Anchors::from_pem(bad), Err(Error::Unreadable(_))),
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn no_request_makes_the_authority_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(AUTHORITY.certify(&bytes, &web(), now()).is_err());
    }

    /// A request with one byte changed is refused, or was changed where nothing is said: the
    /// certificate is then for the same key and name.
    #[test]
    fn a_changed_request_gets_nothing_else(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        static GOOD: LazyLock<(Key, Vec<u8>)> = LazyLock::new(|| {
            let key = Key::generate().unwrap();
            let request = key.signing_request(&web()).unwrap();
            (key, request)
        });
        let (key, mut bytes) = (&GOOD.0, GOOD.1.clone());
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(certificates) = AUTHORITY.certify(&bytes, &web(), now()) {
            let taken = Credentials::new(&web(), key, certificates, AUTHORITY.anchors(), now());
            prop_assert!(taken.is_ok(), "byte {at} of {}", bytes.len());
        }
    }
}
