//! `mesh up`: read mesh.yaml, start, restart, stop.

pub(crate) mod shim;
