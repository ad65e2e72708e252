//! Names in a configuration that nothing has: no error, since a service may come later or be
//! outside of the mesh, but mostly a slip of the pen.

use super::config::Config;
use crate::{manifest_files::Manifest, output::did_you_mean};
use mesh_manifest::{ServiceProfileManifest, yaml};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Most warnings of one configuration.
const MAX: usize = 20;

/// Returns a line for each upstream and each profile of a service that no workload has.
pub(crate) fn warnings(config: &Config, manifests: &[Manifest]) -> Vec<String> {
    let mut services: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for workload in config.workloads.values() {
        if let Some(port) = workload.port {
            let ports = services.entry(workload.service.clone()).or_default();
            ports.insert(port);
            ports.extend(workload.ports.iter().map(|it| it.port));
        }
    }
    let services = &services;
    let upstreams = config.workloads.iter().flat_map(|(name, workload)| {
        workload
            .upstreams
            .iter()
            .filter_map(move |(variable, upstream)| {
                let hint = missing(&upstream.to, config, services)?;
                let to = &upstream.to;
                Some(format!(
                    "workload {name}: upstream {variable} is {to}, {hint}"
                ))
            })
    });
    let profiles = manifests.iter().flat_map(|manifest| {
        profiles(manifest).into_iter().filter_map(move |service| {
            let hint = missing_service(&service, services)?;
            let file = manifest.file.display();
            Some(format!(
                "{file}: the profile is for the service `{service}`, {hint}"
            ))
        })
    });
    upstreams.chain(profiles).take(MAX).collect()
}

/// Explains why `authority` leads to no service of the mesh; `None` if it does, or is outside.
fn missing(
    authority: &str,
    config: &Config,
    services: &BTreeMap<String, BTreeSet<u16>>,
) -> Option<String> {
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let (name, rest) = host.split_once('.').unwrap_or((host, ""));
    let namespace = &config.namespace;
    let is_ours =
        rest.is_empty() || rest == namespace || rest.starts_with(&format!("{namespace}.svc"));
    if !is_ours || name == "localhost" || host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
        return None;
    }
    let name = name.to_lowercase();
    if let Some(hint) = missing_service(&name, services) {
        return Some(hint);
    }
    let ports = services.get(&name)?;
    let is_port = port.parse().is_ok_and(|port| ports.contains(&port));
    let all: Vec<_> = ports.iter().map(u16::to_string).collect();
    let is = if ports.len() == 1 {
        "port of {} is"
    } else {
        "ports of {} are"
    };
    let is = is.replace("{}", &name);
    (!is_port).then(|| format!("but the {is} {}", all.join(", ")))
}

fn missing_service(name: &str, services: &BTreeMap<String, BTreeSet<u16>>) -> Option<String> {
    let mut suffixes = ["", "-primary", "-canary"].into_iter();
    let is_known = suffixes.any(|suffix| {
        let base = name.strip_suffix(suffix);
        base.is_some_and(|base| services.contains_key(base))
    });
    let hint = did_you_mean(name, services.keys());
    (!is_known).then(|| format!("which no workload has{hint}"))
}

/// The services of the profiles in a manifest, which was checked before.
fn profiles(manifest: &Manifest) -> Vec<String> {
    let sections = yaml::sections(&manifest.text).filter(|section| !section.is_empty());
    let read = sections.filter_map(|section| ServiceProfileManifest::read(&section, "").ok());
    let services = read.filter_map(|it| Some(it.service()?.0.to_owned()));
    services.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_name_that_nobody_has_is_told_with_the_one_that_was_meant() {
        let text = "namespace: shop\nworkloads:\n  books: {command: x, port: 7002, ports: [{port: 9}]}\n  \
            web: {command: x, port: 80, upstreams: {A: 'boks:7002', B: 'books:7003', C: 'books:9', \
            D: 'example.com:80', E: 'localhost:1', F: '127.0.0.1:1', G: 'web.shop:81', H: 'web.shop.svc.cluster.local'}}\n";
        let config = Config::parse(text, "mesh.yaml", Path::new("/mesh.yaml")).unwrap();
        let profile = |service: &str| {
            format!(
                "kind: ServiceProfile\napiVersion: linkerd.io/v1alpha2\nmetadata: {{name: {service}.shop.svc.cluster.local, \
                 namespace: shop}}\nspec: {{routes: []}}\n"
            )
        };
        let manifest = Manifest {
            file: "profiles.yaml".into(),
            text: format!(
                "{}---\n{}---\n{}",
                profile("books"),
                profile("boooks"),
                profile("web-canary")
            ),
        };
        assert_eq!(
            warnings(&config, &[manifest]),
            [
                "workload web: upstream A is boks:7002, which no workload has; did you mean `books`?",
                "workload web: upstream B is books:7003, but the ports of books are 9, 7002",
                "workload web: upstream G is web.shop:81, but the port of web is 80",
                "profiles.yaml: the profile is for the service `boooks`, which no workload has; did you mean `books`?",
            ]
        );
    }
}
