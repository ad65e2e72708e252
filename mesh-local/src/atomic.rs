//! Files that are replaced whole: a reader sees the old content or the new.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// The beginning of the names of temporary files.
const TEMPORARY: &str = ".tmp-";

/// Replaces the file at `path`, and creates its folder if it is missing.
///
/// The new content is on the disk when this returns. At any moment before, and after a crash or a
/// power cut, `path` holds all of the old content or all of the new.
///
/// # Errors
///
/// Returns the file system's error; the old content is still there then.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    stage(path, content)?.commit()
}

/// Replaces the file at `path` without waiting for the disk. Its folder must exist.
///
/// For content that has no use after a restart of the machine.
///
/// # Errors
///
/// Returns the file system's error; the old content is still there then.
pub fn write_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    let (temporary, _) = create(path, content)?;
    temporary.rename()
}

/// Writes the next content of `path` to a temporary file beside it, and creates the folder if it is
/// missing.
///
/// # Errors
///
/// Returns the file system's error.
pub fn stage<'a>(path: &'a Path, content: &[u8]) -> io::Result<Staged<'a>> {
    create_folder(folder_of(path))?;
    let (temporary, file) = create(path, content)?;
    // The name must never be there before the content is.
    file.sync_all()?;
    Ok(Staged(temporary))
}

/// New content of a file, written and synced to a temporary file. Dropping it discards the content.
#[derive(Debug)]
pub struct Staged<'a>(Temporary<'a>);

impl Staged<'_> {
    /// Replaces the file with the staged content.
    ///
    /// # Errors
    ///
    /// Returns the file system's error. The file may hold the new content then, if only the sync of
    /// its folder failed.
    pub fn commit(self) -> io::Result<()> {
        let folder = folder_of(self.0.target);
        self.0.rename()?;
        sync(folder)
    }
}

/// Removes the file at `path`, and returns false if there is none.
///
/// # Errors
///
/// Returns the file system's error.
pub fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            sync(folder_of(path))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true if the file name `name` is that of a temporary file of another process.
///
/// If only one process writes to the folder, that process has ended and the file can be removed.
pub fn is_leftover(name: &str) -> bool {
    let own = format!("{TEMPORARY}{}-", process::id());
    name.starts_with(TEMPORARY) && !name.starts_with(&own)
}

/// A temporary file, removed when dropped.
#[derive(Debug)]
struct Temporary<'a> {
    target: &'a Path,
    path: Option<PathBuf>,
}

fn create<'a>(target: &'a Path, content: &[u8]) -> io::Result<(Temporary<'a>, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);

    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{TEMPORARY}{}-{number}", process::id());
    let path = folder_of(target).join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    let temporary = Temporary {
        target,
        path: Some(path),
    };
    file.write_all(content)?;
    Ok((temporary, file))
}

impl Temporary<'_> {
    fn rename(mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, self.target)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// The folder of `path`; `.` for a bare file name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    create_folder(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync(parent)
}

/// A name is only sure to outlast a power cut once its folder is on the disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c.yaml");
        write(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");

        let staged = stage(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        drop(staged);
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1);

        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
    }

    #[test]
    fn an_unsynced_file_is_replaced_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c.json");
        write_unsynced(&path, b"one").unwrap();
        write_unsynced(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");

        let taken = root.path().join("folder");
        fs::create_dir_all(taken.join("not empty")).unwrap();
        write_unsynced(&taken, b"three").unwrap_err();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_files_of_other_processes_are_leftovers() {
        assert!(is_leftover(".tmp-0-7"));
        assert!(!is_leftover(&format!(".tmp-{}-7", process::id())));
        assert!(!is_leftover(".hidden"));
    }
}
