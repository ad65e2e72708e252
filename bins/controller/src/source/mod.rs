//! Where resources and workloads come from, and where changed resources are kept.

pub mod workloads;
