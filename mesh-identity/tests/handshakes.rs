//! Handshakes between two workloads, at a time of our choice: who gets in, and why others do not.

use mesh_identity::{
    Anchors, Authority, Certificates, Credentials, Error, Identity, Key, LIFETIME, Refusal,
    client_config, identity, server_config,
};
use rustls::{
    ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, RootCertStore, ServerConfig,
    ServerConnection, time_provider::TimeProvider,
};
use rustls_pki_types::UnixTime;
use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// 1 December 2026.
const NOW: u64 = 1_796_083_200;

fn after(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + seconds)
}

fn name(account: &str) -> Identity {
    Identity::of_service_account(account, "shop", "mesh", "cluster.local").unwrap()
}

fn authority() -> Authority {
    Authority::generate("cluster.local", after(0)).unwrap()
}

fn certificates(authority: &Authority, key: &Key, name: &Identity) -> Certificates {
    let request = key.signing_request(name).unwrap();
    authority.certify(&request, name, after(0)).unwrap()
}

fn credentials(authority: &Authority, account: &str) -> Credentials {
    let (key, name) = (Key::generate().unwrap(), name(account));
    let certificates = certificates(authority, &key, &name);
    Credentials::new(&name, &key, certificates, authority.anchors(), after(0)).unwrap()
}

/// A clock that stands still.
#[derive(Debug)]
struct At(SystemTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Some(UnixTime::since_unix_epoch(since))
    }
}

fn server(credentials: &Credentials, anchors: &Anchors, now: SystemTime) -> ServerConnection {
    let config = server_config(credentials, anchors, Arc::new(At(now))).unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn client(
    credentials: &Credentials,
    anchors: &Anchors,
    expected: &str,
    now: SystemTime,
) -> ClientConnection {
    let config = client_config(credentials, anchors, name(expected), Arc::new(At(now))).unwrap();
    connection(config)
}

fn connection(config: ClientConfig) -> ClientConnection {
    ClientConnection::new(Arc::new(config), "books.shop".try_into().unwrap()).unwrap()
}

/// Lets both talk until they have nothing more to say, and returns the first errors.
fn shake(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> (Result<(), Refusal>, Result<(), Refusal>) {
    let (mut of_client, mut of_server) = (Ok(()), Ok(()));
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let _ = server.read_tls(&mut &*bytes);
        if let Err(error) = server.process_new_packets() {
            of_server = of_server.and(Err(Refusal::of(&error)));
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let _ = client.read_tls(&mut &*bytes);
        if let Err(error) = client.process_new_packets() {
            of_client = of_client.and(Err(Refusal::of(&error)));
        }
    }
    (of_client, of_server)
}

#[test]
fn both_sides_know_each_other_and_talk() {
    let authority = authority();
    let anchors = authority.anchors();
    let mut client = client(&credentials(&authority, "web"), anchors, "books", after(0));
    let mut server = server(&credentials(&authority, "books"), anchors, after(0));
    assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));

    assert_eq!(
        identity(server.peer_certificates().unwrap()),
        Some(name("web"))
    );
    assert_eq!(
        identity(client.peer_certificates().unwrap()),
        Some(name("books"))
    );
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = server.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);

    client.writer().write_all(b"hello").unwrap();
    assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
    let mut text = [0; 5];
    server.reader().read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
}

#[test]
fn somebody_else_at_the_address_is_refused() {
    let authority = authority();
    let anchors = authority.anchors();
    let mut client = client(&credentials(&authority, "web"), anchors, "books", after(0));
    let mut server = server(&credentials(&authority, "authors"), anchors, after(0));
    let (of_client, of_server) = shake(&mut client, &mut server);
    let refusal = Refusal::WrongIdentity {
        expected: name("books"),
        presented: vec![name("authors")],
    };
    assert_eq!(of_client, Err(refusal.clone()));
    assert!(
        matches!(of_server, Err(Refusal::RefusedByPeer(_))),
        "{of_server:?}"
    );
    assert!(
        refusal.to_string().starts_with("expected books.shop."),
        "{refusal}"
    );
}

#[test]
fn a_certificate_counts_in_its_time_only_on_both_sides() {
    let authority = authority();
    let anchors = authority.anchors();
    let (web, books) = (
        credentials(&authority, "web"),
        credentials(&authority, "books"),
    );
    let end = LIFETIME.as_secs();
    let before = after(0) - Duration::from_secs(3600);
    for (now, expected) in [
        (after(end), Ok(())),
        (after(end + 60), Err(Refusal::Expired)),
        (before, Err(Refusal::NotYetValid)),
    ] {
        // Each side's clock by itself.
        let mut client = client(&web, anchors, "books", now);
        let mut server = server(&books, anchors, after(0));
        assert_eq!(shake(&mut client, &mut server).0, expected);
    }
    for (now, expected) in [
        (after(end), Ok(())),
        (after(end + 60), Err(Refusal::Expired)),
        (before, Err(Refusal::NotYetValid)),
    ] {
        let mut client = client(&web, anchors, "books", after(0));
        let mut server = server(&books, anchors, now);
        assert_eq!(shake(&mut client, &mut server).1, expected);
    }
}

#[test]
fn clocks_may_differ_by_the_skew() {
    let authority = authority();
    let anchors = authority.anchors();
    let early = after(0) - Duration::from_secs(19);
    let mut client = client(&credentials(&authority, "web"), anchors, "books", early);
    let mut server = server(&credentials(&authority, "books"), anchors, early);
    assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
}

#[test]
fn the_certificates_of_another_authority_are_refused_on_both_sides() {
    let (ours, theirs) = (authority(), authority());
    let mut client = client(
        &credentials(&ours, "web"),
        ours.anchors(),
        "books",
        after(0),
    );
    let mut server = server(&credentials(&theirs, "books"), ours.anchors(), after(0));
    assert_eq!(
        shake(&mut client, &mut server).0,
        Err(Refusal::UnknownIssuer)
    );

    let mut client = self::client(
        &credentials(&theirs, "web"),
        ours.anchors(),
        "books",
        after(0),
    );
    let mut server = self::server(&credentials(&ours, "books"), ours.anchors(), after(0));
    assert_eq!(
        shake(&mut client, &mut server).1,
        Err(Refusal::UnknownIssuer)
    );
}

#[test]
fn anchors_are_rotated_by_believing_both_and_then_one() {
    let (old, new) = (authority(), authority());
    let both = old.anchors().with(new.anchors()).unwrap();
    assert_eq!(both.certificates().len(), 2);
    assert_eq!(both.with(&both).unwrap().certificates().len(), 2);
    let (web, books) = (credentials(&old, "web"), credentials(&new, "books"));
    let meet = |anchors: &Anchors| {
        let mut client = client(&web, anchors, "books", after(0));
        let mut server = server(&books, anchors, after(0));
        shake(&mut client, &mut server)
    };
    assert_eq!(meet(&both), (Ok(()), Ok(())));
    // The old anchor is dropped: what it vouched for is nobody's.
    assert_eq!(meet(new.anchors()).1, Err(Refusal::UnknownIssuer));
}

#[test]
fn a_client_without_a_certificate_has_no_identity() {
    let authority = authority();
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.anchors().certificates()[0].clone())
        .unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(
        Arc::new(config),
        name("books").as_str().to_owned().try_into().unwrap(),
    )
    .unwrap();
    let now = SystemTime::now();
    let key = Key::generate().unwrap();
    let authority = Authority::generate("cluster.local", now).unwrap();
    let request = key.signing_request(&name("books")).unwrap();
    let certificates = authority.certify(&request, &name("books"), now).unwrap();
    let books =
        Credentials::new(&name("books"), &key, certificates, authority.anchors(), now).unwrap();
    let mut server = server(&books, authority.anchors(), now);
    // It does not believe our anchor, but what it shows is nothing.
    let (of_client, _) = shake(&mut client, &mut server);
    assert_eq!(of_client, Err(Refusal::UnknownIssuer));
    assert!(server.peer_certificates().is_none());
}

#[test]
fn plain_text_and_older_versions_are_refused() {
    let authority = authority();
    let mut server = server(
        &credentials(&authority, "books"),
        authority.anchors(),
        after(0),
    );
    server
        .read_tls(&mut &b"GET / HTTP/1.1\r\nhost: books\r\n\r\n"[..])
        .unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert_eq!(Refusal::of(&error), Refusal::PlainText);

    // A ClientHello of TLS 1.2: version 3.3, no extensions, one suite.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut server = self::server(
        &credentials(&authority, "books"),
        authority.anchors(),
        after(0),
    );
    server.read_tls(&mut &*hello).unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert_eq!(Refusal::of(&error), Refusal::Incompatible, "{error:?}");
}

#[test]
fn certificates_are_checked_before_they_are_used() {
    let (ours, theirs) = (authority(), authority());
    let (key, web) = (Key::generate().unwrap(), name("web"));
    let certificates = certificates(&ours, &key, &web);
    let take = |key: &Key, name: &Identity, anchors: &Anchors, now| {
        Credentials::new(name, key, certificates.clone(), anchors, now)
    };
    let taken = take(&key, &web, ours.anchors(), after(0)).unwrap();
    assert_eq!(
        (taken.identity(), taken.valid_until()),
        (&web, after(LIFETIME.as_secs()))
    );
    let refused = |result: Result<Credentials, Error>| match result.unwrap_err() {
        Error::Refused(refusal) => refusal,
        other => panic!("{other}"),
    };
    let unknown = refused(take(&key, &web, theirs.anchors(), after(0)));
    assert_eq!(unknown, Refusal::UnknownIssuer);
    let expired = refused(take(
        &key,
        &web,
        ours.anchors(),
        after(LIFETIME.as_secs() + 60),
    ));
    assert_eq!(expired, Refusal::Expired);
    let other = refused(take(&key, &name("books"), ours.anchors(), after(0)));
    assert!(matches!(other, Refusal::WrongIdentity { .. }));
    let error = take(&Key::generate().unwrap(), &web, ours.anchors(), after(0)).unwrap_err();
    assert!(error.to_string().contains("of another key"), "{error}");
}

#[test]
fn no_secret_is_shown() {
    let authority = authority();
    let key = Key::generate().unwrap();
    let web = credentials(&authority, "web");
    let config: ServerConfig =
        server_config(&web, authority.anchors(), Arc::new(At(after(0)))).unwrap();
    assert_eq!(format!("{key:?}"), "Key(..)");
    for text in [
        format!("{authority:?}"),
        format!("{web:?}"),
        format!("{:?}", authority.anchors()),
        format!("{config:?}"),
    ] {
        let text = text.to_lowercase();
        assert!(
            !text.contains("private") && !text.contains("pkcs8"),
            "{text}"
        );
    }
}
