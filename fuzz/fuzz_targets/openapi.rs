//! The OpenAPI reader: no text makes it panic, and what it makes of one compiles.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_manifest::ServiceProfileManifest;
use mesh_profile::{
    Profile,
    openapi::{Options, import},
};

fuzz_target!(|text: &str| {
    let Ok(read) = import(text, "fuzz", &Options::default()) else {
        return;
    };
    let lossless = read
        .diagnostics
        .iter()
        .all(|diagnostic| diagnostic.severity() == mesh_profile::openapi::Severity::Note);
    let strict = Options {
        strict: true,
        base_path: Some("/v1".to_owned()),
    };
    // Nothing but losses makes a strict reader refuse what another accepts.
    let again = import(text, "fuzz", &strict);
    assert!(!lossless || again.is_ok(), "{}", again.unwrap_err());

    let manifest = ServiceProfileManifest::new("a", "b", "cluster.local", read.spec.clone());
    let printed = ServiceProfileManifest::read_all(&manifest.to_yaml(), "printed");
    assert_eq!(printed.expect("we read what we print")[0].spec, read.spec);
    Profile::try_from(read.spec).expect("what was imported compiles");
});
