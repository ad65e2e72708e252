//! mesh.yaml, checked: past here nothing asks again whether it makes sense.

use super::{
    document::{CommandDocument, Document, Form, HostPortDocument, WorkloadDocument},
    order,
};
use anyhow::{Context, Result, anyhow};
use mesh_profile::yaml;
use serde_saphyr::{Location, Spanned};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

/// The name of the file, when a folder is given.
const FILE_NAME: &str = "mesh.yaml";
/// More replicas than this on one machine are a slip of the pen.
const MAX_REPLICAS: u32 = 100;

/// What `mesh up` is to keep running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file it was read from, absolute.
    pub(crate) file: PathBuf,
    /// The namespace of every workload.
    pub(crate) namespace: String,
    /// Run by the shell, in the file's folder, before anything starts.
    pub(crate) build: Option<String>,
    /// By name.
    pub(crate) workloads: BTreeMap<String, Workload>,
    /// Files and folders of resources, absolute.
    pub(crate) manifests: Vec<PathBuf>,
    /// Whether each replica has a network of its own; the command line says so.
    pub(crate) transparent: bool,
}

/// One workload of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Where it runs, absolute.
    pub(crate) dir: PathBuf,
    /// What the file adds to the environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The name of its service, if it has a `port`.
    pub(crate) service: String,
    /// The service port.
    pub(crate) port: Option<u16>,
    /// The port the program insists on.
    pub(crate) listen: Option<u16>,
    /// Its port on the host.
    pub(crate) host_port: HostPort,
    /// Whether it does not speak HTTP.
    pub(crate) opaque: bool,
    pub(crate) replicas: u32,
    /// The path of its readiness check.
    pub(crate) ready: Option<String>,
    pub(crate) depends_on: Vec<String>,
    /// By the variable that tells the program.
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    /// Where its command is written, for messages: FILE:LINE.
    pub(crate) place: String,
}

/// What a workload wants of the host's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostPort {
    /// This one if it is free.
    IfFree(u16),
    /// This one.
    Exactly(u16),
    None,
}

/// A service reached through a port of the sidecar's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// The service, as an authority.
    pub(crate) to: String,
    pub(crate) form: Form,
}

impl Config {
    /// Reads `path`, a folder with a `mesh.yaml` or such a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = if path.is_dir() {
            path.join(FILE_NAME)
        } else {
            path.to_owned()
        };
        let text = fs::read_to_string(&file).with_context(|| match path.is_dir() {
            true => format!("there is no {FILE_NAME} in {}", path.display()),
            false => format!("cannot read {}", path.display()),
        })?;
        let absolute = std::path::absolute(&file)?;
        Self::parse(&text, &file.to_string_lossy(), &absolute)
    }

    /// Checks `text`, called `source` in messages, as if it were at `file`.
    pub(crate) fn parse(text: &str, source: &str, file: &Path) -> Result<Self> {
        let document: Document = yaml::from_str(text, source)?;
        // Places count from the document's marker, if it has one.
        let first = yaml::sections(text).find(|section| !section.is_empty());
        Checker {
            source,
            file,
            before: first.map_or(0, |section| section.line() - 1),
        }
        .check(document)
    }

    /// The same in another namespace, if one is given.
    #[must_use]
    pub(crate) fn in_namespace(mut self, namespace: Option<&str>) -> Self {
        if let Some(namespace) = namespace {
            self.namespace = namespace.to_owned();
        }
        self
    }

    /// The folder that relative paths start from.
    pub(crate) fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

struct Checker<'a> {
    source: &'a str,
    file: &'a Path,
    /// How many lines of the file come before the document.
    before: u64,
}

impl Checker<'_> {
    fn check(&self, document: Document) -> Result<Config> {
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
            let checked = self.workload(&name, workload)?;
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

    fn workload(&self, name: &str, written: Spanned<WorkloadDocument>) -> Result<Workload> {
        let at = written.referenced;
        self.check_name("workload", name, at)?;
        let written = written.value;
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
        if let Some(listen) = &written.listen
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
            service: written
                .service
                .map_or_else(|| name.to_owned(), |it| it.value),
            port,
            listen: written.listen.map(|listen| listen.value),
            host_port: match (written.host_port.map(|it| it.value), port) {
                (Some(HostPortDocument::Port(port)), _) => HostPort::Exactly(port),
                (None, Some(port)) => HostPort::IfFree(port),
                (Some(HostPortDocument::None), _) | (None, None) => HostPort::None,
            },
            opaque: written.opaque,
            replicas,
            ready: written.ready.map(|ready| ready.value),
            depends_on: written.depends_on.into_iter().map(|it| it.value).collect(),
            upstreams,
            place,
        })
    }

    /// Names of services that are no host names, and those that two workloads have.
    fn check_services(
        &self,
        workloads: &BTreeMap<String, Spanned<WorkloadDocument>>,
    ) -> Result<()> {
        let serve = workloads.iter().filter(|(_, it)| it.value.port.is_some());
        // A workload's own name is its service's without a word about it, so these come first.
        let (named, unnamed): (Vec<_>, Vec<_>) =
            serve.partition(|(_, it)| it.value.service.is_some());
        let mut taken: BTreeMap<&str, &str> = unnamed
            .into_iter()
            .map(|(name, _)| (name.as_str(), name.as_str()))
            .collect();
        for (name, workload) in named {
            let Some(service) = &workload.value.service else {
                continue;
            };
            self.check_name("service", &service.value, service.referenced)?;
            if let Some(other) = taken.insert(&service.value, name) {
                return Err(self.no(
                    service.referenced,
                    format_args!(
                        "`service` of workload `{name}` is `{}`, which is already that of workload \
                         `{other}`",
                        service.value
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Zero ports, and ports that two workloads ask for.
    fn check_ports(&self, workloads: &BTreeMap<String, Spanned<WorkloadDocument>>) -> Result<()> {
        let mut asked: BTreeMap<u16, String> = BTreeMap::new();
        for (name, workload) in workloads {
            let workload = &workload.value;
            let zero = [("port", &workload.port), ("listen", &workload.listen)];
            for (key, port) in zero {
                if let Some(port) = port.as_ref().filter(|port| port.value == 0) {
                    return Err(self.no(
                        port.referenced,
                        format_args!("workload `{name}`: `{key}` is between 1 and 65535"),
                    ));
                }
            }
            let host_port = workload.host_port.as_ref().and_then(|it| match it.value {
                HostPortDocument::Port(port) => Some(("host_port", port, it.referenced)),
                HostPortDocument::None => None,
            });
            let listen = workload.listen.as_ref();
            let listen = listen.map(|it| ("listen", it.value, it.referenced));
            for (key, port, at) in host_port.into_iter().chain(listen) {
                let this = format!("`{key}` of workload `{name}`");
                if let Some(other) = asked.insert(port, this.clone()) {
                    return Err(self.no(
                        at,
                        format_args!("{this} is {port}, which is already the {other}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_dependencies(
        &self,
        workloads: &BTreeMap<String, Spanned<WorkloadDocument>>,
    ) -> Result<()> {
        let mut edges = BTreeMap::new();
        for (name, workload) in workloads {
            let on = &workload.value.depends_on;
            for dependency in on {
                if !workloads.contains_key(&dependency.value) {
                    let hint = did_you_mean(&dependency.value, workloads.keys());
                    return Err(self.no(
                        dependency.referenced,
                        format_args!(
                            "workload `{name}` depends on `{}`, which is no workload{hint}",
                            dependency.value
                        ),
                    ));
                }
            }
            edges.insert(
                name.as_str(),
                on.iter().map(|it| it.value.as_str()).collect(),
            );
        }
        let Err(cycle) = order::sort(&edges) else {
            return Ok(());
        };
        let at = workloads
            .get(cycle.first())
            .and_then(|workload| workload.value.depends_on.first())
            .map_or(Location::UNKNOWN, |it| it.referenced);
        Err(self.no(at, format_args!("`depends_on` is a circle: {cycle}")))
    }

    /// Names become parts of host names (RFC 1123).
    fn check_name(&self, what: &str, name: &str, at: Location) -> Result<()> {
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

    fn no(&self, at: Location, what: fmt::Arguments<'_>) -> anyhow::Error {
        anyhow!("{}: {what}", self.place(at))
    }
}

/// Whether `text` is `host` or `host:port`.
pub(crate) fn is_authority(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|authority| {
        !authority.host().is_empty()
            && !text.contains('@')
            && (!text.contains(':') || authority.port_u16().is_some_and(|port| port > 0))
    })
}

/// A hint, if `name` is close to one of `candidates`.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a String>,
) -> String {
    let candidates: Vec<_> = candidates.into_iter().map(String::as_str).collect();
    yaml::did_you_mean(name, &candidates)
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
