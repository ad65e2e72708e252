//! Programs: where they are, as the kernel and `execvp` find them, and which build they are.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hasher as _},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
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

/// Most files whose hash is remembered.
const MAX_CACHED: usize = 256;
/// Extensions of files that interpreters run.
const SCRIPTS: [&str; 14] = [
    "cjs", "exs", "jar", "js", "jsx", "lua", "mjs", "php", "pl", "py", "rb", "sh", "ts", "tsx",
];

/// Version of a file that hashing it again can be spared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    dev: u64,
    ino: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Hashes by file, with the version that was hashed.
static HASHES: Mutex<BTreeMap<PathBuf, (Version, u64)>> = Mutex::new(BTreeMap::new());

/// Returns the hashes of the contents of a command's files: its program, and the scripts among its
/// arguments. A file that was written anew with the same content is the same.
pub(crate) fn build(command: &[String], dir: &Path, path: Option<&OsStr>) -> Vec<u64> {
    let program = command.first().and_then(|name| find(name, dir, path));
    let arguments = command.iter().skip(1);
    // A line for the shell is arguments, too.
    let words = arguments.flat_map(|argument| argument.split_whitespace());
    let scripts = words.map(|word| dir.join(word.trim_matches(['"', '\''])));
    let scripts = scripts.filter(|file| {
        let extension = file.extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| SCRIPTS.contains(&extension)) && file.is_file()
    });
    let files = program.into_iter().chain(scripts);
    files.filter_map(|file| fingerprint(&file).ok()).collect()
}

/// Returns the hash of the content of `file`.
fn fingerprint(file: &Path) -> io::Result<u64> {
    let mut opened = File::open(file)?;
    let metadata = opened.metadata()?;
    let version = Version {
        dev: metadata.dev(),
        ino: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    };
    let hashes = || HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, hash)) = hashes().get(file)
        && *known == version
    {
        return Ok(*hash);
    }
    let mut hasher = DefaultHasher::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        match opened.read(&mut chunk)? {
            0 => break,
            read => hasher.write(&chunk[..read]),
        }
    }
    let hash = hasher.finish();
    if !is_settled(version) {
        return Ok(hash);
    }
    let mut hashes = hashes();
    if hashes.len() >= MAX_CACHED {
        hashes.clear();
    }
    hashes.insert(file.to_owned(), (version, hash));
    Ok(hash)
}

/// Returns true if a version is older than 2 s. Of two writes in one tick of the file system's clock,
/// the second would look like the first.
fn is_settled(version: Version) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let changed = u64::try_from(version.changed.0).unwrap_or(0);
    changed.saturating_add(2) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_the_content_of_the_program_and_of_its_scripts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            // Another inode each time, as compilers write.
            let _ = fs::remove_file(&file);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let command = ["./tool", "app.py", "data.db", "exec x 'b.sh'"].map(str::to_owned);
        let build = || build(&command, dir.path(), None);
        for name in ["tool", "app.py", "data.db", "b.sh"] {
            write(name, "first");
        }
        let first = build();
        assert_eq!(first.len(), 3);
        for name in ["tool", "app.py", "b.sh"] {
            write(name, "first");
            assert_eq!(build(), first, "{name} is as it was");
            write(name, "other");
            assert_ne!(build(), first, "{name} is another");
            write(name, "first");
        }
        write("data.db", "other");
        assert_eq!(build(), first, "data is no program");
    }

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
