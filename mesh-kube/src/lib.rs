//! Knows Kubernetes: custom resources, injection, install manifests.
