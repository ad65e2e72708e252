//! Empty on purpose: `links` in the manifest needs a build script.

fn main() {}
