use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::{fs::File, io, path::Path};

/// The right to serve a state folder. It ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock `path`.
    ///
    /// # Errors
    ///
    /// If another controller has it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let context = || format!("cannot lock {}", path.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .with_context(context)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!(
                "another controller serves this state folder ({} is locked)",
                path.display()
            ),
            Err(error) => Err(error).with_context(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_controller_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err().to_string();
        assert!(error.starts_with("another controller"), "{error}");
        drop(first);
        Lock::take(&path).unwrap();
    }
}
