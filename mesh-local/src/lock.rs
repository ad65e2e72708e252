use rustix::fs::{FlockOperation, flock};
use std::{fs::File, io, path::Path};

/// An exclusive lock on a file, released when dropped and when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks the file at `path`, creating it if it is missing. Returns `None` if it is locked.
    ///
    /// # Errors
    ///
    /// Returns the error of opening or locking the file.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::try_acquire(&path).unwrap().unwrap();
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        drop(first);
        Lock::try_acquire(&path).unwrap().unwrap();

        Lock::try_acquire(&folder.path().join("missing/lock")).unwrap_err();
    }
}
