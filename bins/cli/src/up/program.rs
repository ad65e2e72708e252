//! Finding a program, as the kernel and `execvp` would.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The file that `name` means to a process in `dir` with this `PATH`.
pub(crate) fn find(name: &str, dir: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(dir.join(name)).filter(is_program);
    }
    std::env::split_paths(path?)
        .map(|folder| dir.join(folder).join(name))
        .find(is_program)
}

/// Which build of a program this is: a rebuilt one differs.
pub(crate) fn fingerprint(file: &Path) -> Option<(u64, u64, i64, i64)> {
    let file = fs::metadata(file).ok()?;
    Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_path_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tool");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        let path = Some(dir.path().as_os_str());
        assert_eq!(find("./tool", dir.path(), path), None, "not executable");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(find("./tool", dir.path(), None).is_some());
        assert_eq!(find("tool", Path::new("/"), path), Some(file));
        assert_eq!(find("no-such-tool", Path::new("/"), path), None);
    }
}
