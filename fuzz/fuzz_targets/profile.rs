//! Profiles that people write, as YAML and as JSON: nothing panics, and what was read is printed
//! so that it reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_manifest::ServiceProfileManifest;
use mesh_profile::{Profile, ProfileSpec};

fuzz_target!(|text: &str| {
    if let Ok(manifests) = ServiceProfileManifest::read_all(text, "fuzz") {
        for manifest in manifests {
            let _ = manifest.check();
            let yaml = ServiceProfileManifest::read_all(&manifest.to_yaml(), "printed");
            assert_eq!(yaml.expect("we read the YAML we print"), [manifest.clone()]);
            let json = serde_json::from_str::<ServiceProfileManifest>(&manifest.to_json());
            assert_eq!(json.expect("we read the JSON we print"), manifest);
            compile(manifest.spec);
        }
    }
    if let Ok(spec) = serde_json::from_str::<ProfileSpec>(text) {
        compile(spec);
    }
});

fn compile(spec: ProfileSpec) {
    let (sound, flaws) = Profile::compile_lenient(spec.clone());
    let _ = sound.lint();
    match Profile::try_from(spec) {
        Ok(profile) => assert!(flaws.is_empty() && profile == sound),
        Err(error) => drop(error.to_string()),
    }
}
