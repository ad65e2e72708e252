//! The faults to inject, kept in a file so that a controller that is replaced does not end them.

use anyhow::{Context, Result};
use mesh_api::{Fault, FaultKind, Kind, Resource};
use mesh_control::{
    faults::{DeclaredFault, Faults},
    model::ServiceName,
};
use mesh_local::atomic;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Millionths in a percent.
const PER_PERCENT: f64 = 10_000.0;

/// The faults of a mesh and their file.
#[derive(Clone, Debug)]
pub struct FaultStore {
    declared: Faults,
    path: Arc<PathBuf>,
    /// Held while the file is written.
    writing: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct File {
    /// The number of the last fault that was added.
    last: u64,
    faults: Vec<Fault>,
}

impl FaultStore {
    /// The faults of the file `path` that are not over. A file that cannot be read counts as empty,
    /// with a warning.
    pub(crate) fn open(path: PathBuf) -> Self {
        let declared = match read(&path) {
            Ok(Some(file)) => restored(file),
            Ok(None) => Faults::default(),
            Err(error) => {
                tracing::warn!("no fault is injected: {error:#}");
                Faults::default()
            }
        };
        Self {
            declared,
            path: Arc::new(path),
            writing: Arc::default(),
        }
    }

    /// The faults, for the gRPC service.
    pub(crate) fn declared(&self) -> &Faults {
        &self.declared
    }

    /// The faults that are not over.
    pub(crate) fn list(&self) -> Vec<Fault> {
        let active = self.declared.active(SystemTime::now());
        active.iter().map(to_api).collect()
    }

    /// Adds a fault.
    ///
    /// # Errors
    ///
    /// If there are too many already.
    pub(crate) fn add(&self, fault: DeclaredFault) -> Result<Fault> {
        let mut added = fault.clone();
        added.id = self.declared.add(fault, SystemTime::now())?;
        self.write();
        Ok(to_api(&added))
    }

    /// Removes a fault. Returns false if there is none of this number.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let is_removed = self.declared.remove(id, SystemTime::now());
        self.write();
        is_removed
    }

    /// Writes the file. Without it, only the next controller would lack the faults.
    fn write(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = File {
            last: self.declared.last(),
            faults: self.list(),
        };
        let json = serde_json::to_vec_pretty(&file).expect("a fault has no keys but text");
        if let Err(error) = atomic::write(&self.path, &json) {
            tracing::warn!("cannot write {}: {error}", self.path.display());
        }
    }
}

fn read(path: &Path) -> Result<Option<File>> {
    let context = || format!("cannot read {}", path.display());
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(context)?,
    };
    serde_json::from_slice(&text)
        .map(Some)
        .with_context(context)
}

fn restored(file: File) -> Faults {
    let faults = Faults::after(file.last);
    for fault in file.faults {
        faults.restore(from_api(fault));
    }
    faults
}

fn to_api(fault: &DeclaredFault) -> Fault {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Fault {
        id: fault.id,
        namespace: fault.service.namespace.to_string(),
        service: fault.service.service.to_string(),
        route: fault.route.as_deref().map(str::to_owned),
        percent: f64::from(fault.share) / PER_PERCENT,
        kind: match fault.kind {
            mesh_discover::FaultKind::Status(status) => FaultKind::Status(status),
            mesh_discover::FaultKind::GrpcStatus(code) => FaultKind::GrpcStatus(code),
            mesh_discover::FaultKind::Delay { min, max } => FaultKind::Delay {
                min_ms: millis(min),
                max_ms: millis(max),
            },
            mesh_discover::FaultKind::Reset => FaultKind::Reset,
        },
        from: fault
            .from
            .as_ref()
            .map(|(_, name)| Resource::named(Kind::Deployment, name.to_string())),
        ends_ms: millis(fault.ends.duration_since(UNIX_EPOCH).unwrap_or_default()),
    }
}

fn from_api(fault: Fault) -> DeclaredFault {
    let namespace: Arc<str> = fault.namespace.into();
    DeclaredFault {
        id: fault.id,
        service: ServiceName {
            service: fault.service.into(),
            namespace: namespace.clone(),
        },
        route: fault.route.map(Into::into),
        share: share(fault.percent),
        kind: kind(fault.kind),
        from: fault
            .from
            .and_then(|from| from.name)
            .map(|name| (namespace, name.into())),
        ends: UNIX_EPOCH + Duration::from_millis(fault.ends_ms),
    }
}

/// Millionths of a share in percent.
pub(crate) fn share(percent: f64) -> u32 {
    (percent * PER_PERCENT).round() as u32
}

pub(crate) fn kind(kind: FaultKind) -> mesh_discover::FaultKind {
    match kind {
        FaultKind::Status(status) => mesh_discover::FaultKind::Status(status),
        FaultKind::GrpcStatus(code) => mesh_discover::FaultKind::GrpcStatus(code),
        FaultKind::Delay { min_ms, max_ms } => mesh_discover::FaultKind::Delay {
            min: Duration::from_millis(min_ms),
            max: Duration::from_millis(max_ms),
        },
        FaultKind::Reset => mesh_discover::FaultKind::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_controller_has_the_faults_that_are_not_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.json");
        let store = FaultStore::open(path.clone());
        let fault = |seconds| DeclaredFault {
            id: 0,
            service: ServiceName {
                service: "books".into(),
                namespace: "shop".into(),
            },
            route: Some("GET /".into()),
            share: 125_000,
            kind: mesh_discover::FaultKind::Delay {
                min: Duration::from_millis(1),
                max: Duration::from_millis(2),
            },
            from: Some(("shop".into(), "web".into())),
            ends: SystemTime::now() + Duration::from_secs(seconds),
        };
        let first = store.add(fault(600)).unwrap();
        assert_eq!(first.percent, 12.5);
        store.add(fault(0)).unwrap();
        let next = FaultStore::open(path.clone());
        assert_eq!(next.list(), std::slice::from_ref(&first));
        // A number is not used again.
        assert_eq!(next.add(fault(600)).unwrap().id, 3);
        assert!(next.remove(first.id) && !next.remove(first.id));
        assert_eq!(FaultStore::open(path.clone()).list().len(), 1);

        fs::write(&path, "{").unwrap();
        assert_eq!(FaultStore::open(path).list(), []);
    }
}
