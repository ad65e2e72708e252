use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// What the names of unfinished files begin with. Whoever lists a folder passes them over.
pub(super) const UNFINISHED: &str = ".tmp-";

/// Writes a file so that at any moment, whatever is killed, `path` holds all of the old content
/// or all of the new.
///
/// # Errors
///
/// Those of the file system; the old content is still there then.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    stage(path, content)?.commit()
}

/// A file that has been written and is not there yet.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    path: &'a Path,
    folder: &'a Path,
    unfinished: Option<std::path::PathBuf>,
}

/// Writes what is to become `path` beside it, and the folder if there is none.
pub(super) fn stage<'a>(path: &'a Path, content: &[u8]) -> io::Result<Staged<'a>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);

    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{UNFINISHED}{}-{number}", std::process::id());
    let unfinished = folder.join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&unfinished)?;
    let staged = Staged {
        path,
        folder,
        unfinished: Some(unfinished),
    };
    file.write_all(content)?;
    // The name must never be there before the content is.
    file.sync_all()?;
    Ok(staged)
}

impl Staged<'_> {
    /// Puts it in its place.
    pub(super) fn commit(mut self) -> io::Result<()> {
        if let Some(unfinished) = &self.unfinished {
            fs::rename(unfinished, self.path)?;
        }
        self.unfinished = None;
        sync(self.folder)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            // Passed over by every reader, and removed at the next start.
            let _ = fs::remove_file(unfinished);
        }
    }
}

/// Removes a file; says whether there was one.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            path.parent().map_or(Ok(()), sync)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), sync)
}

/// A name is only sure to outlast the power once its folder is written.
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
}
