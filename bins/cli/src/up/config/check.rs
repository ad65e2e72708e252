//! One workload after the other, each member of it.

use super::{Config, HostPort, Upstream, Workload, is_authority, ports};
use crate::up::document::{CommandDocument, Document, HostPortDocument, WorkloadDocument};
use anyhow::{Result, anyhow};
use serde_saphyr::{Location, Spanned};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// More replicas than this on one machine are a slip of the pen.
pub(super) const MAX_REPLICAS: u32 = 100;

/// Checks a document, and says of what it refuses where that is written.
pub(super) struct Checker<'a> {
    pub(super) source: &'a str,
    pub(super) file: &'a Path,
    /// Number of lines of the file before the document.
    pub(super) before: u64,
}

impl Checker<'_> {
    pub(super) fn check(&self, mut document: Document) -> Result<Config> {
        let mut port_names = BTreeMap::new();
        for (name, workload) in &mut document.workloads {
            port_names.insert(name.clone(), ports::promote(&mut workload.value));
        }
        let namespace = match document.namespace {
            Some(namespace) => {
                self.check_name("namespace", &namespace.value, namespace.referenced)?;
                namespace.value
            }
            None => "default".to_owned(),
        };
        self.check_services(&document.workloads)?;
        self.check_ports(&document.workloads)?;
        self.check_dependencies(&document.workloads)?;
        let mut workloads = BTreeMap::new();
        for (name, workload) in document.workloads {
            let port_name = port_names.remove(&name).flatten();
            let checked = self.workload(&name, port_name, workload)?;
            workloads.insert(name, checked);
        }
        let mut manifests = Vec::new();
        for path in document.manifests {
            let absolute = self.resolve(&path.value);
            if !absolute.exists() {
                return Err(self.no(
                    path.referenced,
                    format_args!("`manifests`: there is no {}", absolute.display()),
                ));
            }
            manifests.push(absolute);
        }
        Ok(Config {
            file: self.file.to_owned(),
            namespace,
            build: document.build,
            workloads,
            manifests,
            transparent: false,
        })
    }

    fn workload(
        &self,
        name: &str,
        port_name: Option<String>,
        written: Spanned<WorkloadDocument>,
    ) -> Result<Workload> {
        let at = written.referenced;
        self.check_name("workload", name, at)?;
        let written = written.value;
        let ports = self.further_ports(name, port_name.as_deref(), &written)?;
        if let Some(port_name) = &port_name {
            self.check_name("port name", port_name, at)?;
        }
        let Some(command) = written.command else {
            return Err(self.no(
                at,
                format_args!(
                    "workload `{name}` has no command; add `command: [\"program\", \"argument\"]`"
                ),
            ));
        };
        let place = self.place(command.referenced);
        let command = match command.value {
            CommandDocument::Shell(line) if !line.trim().is_empty() => {
                vec!["sh".to_owned(), "-c".to_owned(), line]
            }
            CommandDocument::List(list) if list.first().is_some_and(|it| !it.is_empty()) => list,
            _ => {
                return Err(self.no(
                    command.referenced,
                    format_args!("workload `{name}`: the command is empty"),
                ));
            }
        };
        let port = written.port.as_ref().map(|port| port.value);
        if port.is_none() {
            let needy = [
                ("service", written.service.as_ref().map(|it| it.referenced)),
                ("listen", written.listen.as_ref().map(|it| it.referenced)),
                ("ready", written.ready.as_ref().map(|it| it.referenced)),
                (
                    "host_port",
                    written
                        .host_port
                        .as_ref()
                        .filter(|it| it.value != HostPortDocument::None)
                        .map(|it| it.referenced),
                ),
            ];
            for (key, place) in needy {
                if let Some(place) = place {
                    return Err(self.no(
                        place,
                        format_args!("workload `{name}`: `{key}` needs a `port`"),
                    ));
                }
            }
        }
        let replicas = written.replicas.as_ref().map_or(1, |it| it.value);
        if let Some(written) = &written.replicas
            && replicas > MAX_REPLICAS
        {
            return Err(self.no(
                written.referenced,
                format_args!("workload `{name}`: at most {MAX_REPLICAS} replicas"),
            ));
        }
        let further = written.ports.iter();
        let further = further.filter_map(|port| port.value.listen.as_ref());
        if let Some(listen) = written.listen.iter().chain(further).next()
            && replicas > 1
        {
            return Err(self.no(
                listen.referenced,
                format_args!(
                    "workload `{name}`: {replicas} replicas cannot all listen on {}; remove \
                     `listen` and let the program take $PORT, or have one replica",
                    listen.value
                ),
            ));
        }
        if let Some(ready) = &written.ready
            && !ready.value.starts_with('/')
        {
            return Err(self.no(
                ready.referenced,
                format_args!(
                    "workload `{name}`: `ready` is a path like /ping, not `{}`",
                    ready.value
                ),
            ));
        }
        let upstreams = written
            .upstreams
            .into_iter()
            .map(|(variable, upstream)| {
                let to = upstream.value.to;
                if !is_authority(&to) {
                    return Err(self.no(
                        upstream.referenced,
                        format_args!(
                            "workload `{name}`: upstream {variable} is a service like \
                             books:7002, not `{to}`"
                        ),
                    ));
                }
                let form = upstream.value.form;
                Ok((variable, Upstream { to, form }))
            })
            .collect::<Result<_>>()?;
        if let Some(port) = written.env.get("PORT") {
            return Err(self.no(
                port.referenced,
                format_args!(
                    "workload `{name}`: PORT is given by the mesh; a program that cannot take it \
                     says where it listens with `listen: {}`",
                    port.value
                ),
            ));
        }
        Ok(Workload {
            command,
            dir: written
                .dir
                .map_or_else(|| self.resolve("."), |dir| self.resolve(&dir)),
            env: written
                .env
                .into_iter()
                .map(|(name, value)| (name, value.value))
                .collect(),
            stdin: written.stdin.unwrap_or(true),
            service: written
                .service
                .map_or_else(|| name.to_owned(), |it| it.value),
            port,
            port_name,
            listen: written.listen.map(|listen| listen.value),
            host_port: match (written.host_port.map(|it| it.value), port) {
                (Some(HostPortDocument::Port(port)), _) => HostPort::Exactly(port),
                (None, Some(port)) => HostPort::IfFree(port),
                (Some(HostPortDocument::None), _) | (None, None) => HostPort::None,
            },
            opaque: written.opaque,
            ports,
            replicas,
            ready: written.ready.map(|ready| ready.value),
            depends_on: written.depends_on.into_iter().map(|it| it.value).collect(),
            upstreams,
            place,
        })
    }

    /// Names become parts of host names (RFC 1123).
    pub(super) fn check_name(&self, what: &str, name: &str, at: Location) -> Result<()> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(|byte| inner(byte) || byte == b'-')
            && name.bytes().next().is_some_and(inner)
            && name.bytes().last().is_some_and(inner);
        if fits {
            return Ok(());
        }
        Err(self.no(
            at,
            format_args!(
                "the {what} `{name}` cannot be part of a host name: use lower-case letters, \
                 digits and dashes, at most 63"
            ),
        ))
    }

    fn resolve(&self, path: &str) -> PathBuf {
        let base = self.file.parent().unwrap_or(Path::new("/"));
        let joined = base.join(path);
        // `/a/b/../..` reads badly in messages; a path that does not exist is kept as it is.
        joined.canonicalize().unwrap_or(joined)
    }

    fn place(&self, at: Location) -> String {
        match at.line() {
            0 => self.source.to_owned(),
            line => format!("{}:{}", self.source, self.before + line),
        }
    }

    pub(super) fn no(&self, at: Location, what: fmt::Arguments<'_>) -> anyhow::Error {
        anyhow!("{}: {what}", self.place(at))
    }
}
