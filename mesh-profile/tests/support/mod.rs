//! Helpers of several tests.

use std::path::PathBuf;

/// A real document beside the repository, if it is there.
#[track_caller]
pub(crate) fn shared(name: &str) -> Option<String> {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "../../shared/data/openapi",
        name,
    ]
    .iter()
    .collect();
    if !path.exists() {
        mesh_skips::skip(format_args!("{} is not there", path.display()));
        return None;
    }
    if name.ends_with(".gz") {
        let out = std::process::Command::new("gunzip")
            .arg("-c")
            .arg(&path)
            .output();
        let out = out.expect("gunzip is installed");
        return Some(String::from_utf8(out.stdout).unwrap());
    }
    Some(std::fs::read_to_string(path).unwrap())
}
