//! Replicas that registered themselves: programs in the mesh without a sidecar.

use super::Index;
use crate::source::workloads::{Replica, Workload, Workloads};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The most replicas that may be registered: each may tell its metrics once a second.
pub const MAX_REGISTERED: usize = 256;

/// A replica that wants to be registered. Its names and addresses have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its namespace; the mesh's own if it does not say.
    pub namespace: Option<Arc<str>>,
    /// Its workload.
    pub workload: Arc<str>,
    /// Which process it is.
    pub instance: u64,
    /// The port of its service; without one it has none.
    pub service_port: Option<u16>,
    /// The replica. Without a name it gets one.
    pub replica: Replica,
}

/// A registration: whose it is, and which stream speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The workload.
    pub workload: Arc<str>,
    /// The replica.
    pub pod: Arc<str>,
    number: u64,
}

/// Why a replica is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is such a workload, and it is not of those that register.
    Declared(Arc<str>),
    /// Another process is that replica.
    Taken(String),
    /// The workload's other replicas serve another port, or none.
    OtherPort(Option<u16>),
    /// There are [`MAX_REGISTERED`] already.
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(name) => write!(
                f,
                "{name} is a workload or a service that the mesh runs itself"
            ),
            Self::Taken(pod) => write!(f, "another process is registered as {pod}"),
            Self::OtherPort(Some(port)) => {
                write!(f, "the workload's other replicas serve port {port}")
            }
            Self::OtherPort(None) => f.write_str("the workload's other replicas serve no port"),
            Self::Full => write!(f, "{MAX_REGISTERED} replicas are registered already"),
        }
    }
}

/// Namespace, workload, replica.
type Key = (Arc<str>, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct Registered {
    entries: BTreeMap<Key, Entry>,
    /// Counts streams, so that one that comes to its end late takes nothing from its successor.
    streams: u64,
}

#[derive(Debug)]
struct Entry {
    instance: u64,
    stream: u64,
    /// Whether the stream lives.
    is_live: bool,
    service_port: Option<u16>,
    replica: Replica,
}

impl Index {
    /// Registers a replica, or says why not. One that is registered already and comes back on
    /// another stream is what it was.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it would be mistaken for another.
    pub fn register(&mut self, candidate: Candidate) -> Result<Ticket, Refusal> {
        let own = || self.default_namespace().into();
        let namespace = candidate.namespace.clone().unwrap_or_else(own);
        let serves = candidate.service_port.is_some();
        let is_it = |one: &Workload| is_taken(one, &namespace, &candidate.workload, serves);
        if self.declared.workloads.iter().any(is_it) {
            return Err(Refusal::Declared(candidate.workload));
        }
        let ticket = self.registered.enter(namespace, candidate)?;
        self.merge();
        Ok(ticket)
    }

    /// Takes a change of a registered replica's state; nothing else of it may change.
    pub fn set_registered(&mut self, ticket: &Ticket, ready: bool, draining: bool) {
        if let Some(entry) = self.registered.entry(ticket) {
            entry.replica.ready = ready;
            entry.replica.draining = draining;
            self.merge();
        }
    }

    /// Notes that the stream of a registration broke. Says whether anybody should wait for the
    /// next.
    pub fn lose(&mut self, ticket: &Ticket) -> bool {
        let entry = self.registered.entry(ticket);
        entry.is_some_and(|entry| std::mem::replace(&mut entry.is_live, false))
    }

    /// Ends a registration, unless another stream speaks for it now.
    pub fn unregister(&mut self, ticket: &Ticket) {
        if self.registered.entry(ticket).is_some() {
            self.registered.entries.remove(&ticket.key());
            self.merge();
        }
    }
}

impl Ticket {
    fn key(&self) -> Key {
        (
            self.namespace.clone(),
            self.workload.clone(),
            self.pod.clone(),
        )
    }
}

impl Registered {
    fn enter(&mut self, namespace: Arc<str>, candidate: Candidate) -> Result<Ticket, Refusal> {
        let Candidate {
            workload,
            instance,
            service_port,
            mut replica,
            ..
        } = candidate;
        let mut siblings = self
            .entries
            .iter()
            .filter(|((ns, name, _), _)| *ns == namespace && *name == workload);
        if replica.pod.is_empty() {
            let is_free = |pod: &String| {
                let mut siblings = siblings.clone();
                !siblings.any(|((.., known), _)| **known == **pod)
            };
            let names = (0..=MAX_REGISTERED).map(|n| format!("{workload}-{n}"));
            replica.pod = { names }.find(is_free).ok_or(Refusal::Full)?;
        }
        let pod: Arc<str> = replica.pod.as_str().into();
        let other = siblings
            .find(|((.., known), entry)| *known != pod && entry.service_port != service_port);
        if let Some((_, other)) = other {
            return Err(Refusal::OtherPort(other.service_port));
        }
        let key = (namespace.clone(), workload.clone(), pod.clone());
        match self.entries.get(&key) {
            Some(known) if known.is_live && known.instance != instance => {
                return Err(Refusal::Taken(replica.pod));
            }
            None if self.entries.len() >= MAX_REGISTERED => return Err(Refusal::Full),
            _ => {}
        }
        self.streams += 1;
        let entry = Entry {
            instance,
            stream: self.streams,
            is_live: true,
            service_port,
            replica,
        };
        self.entries.insert(key, entry);
        Ok(Ticket {
            namespace,
            workload,
            pod,
            number: self.streams,
        })
    }

    /// What `ticket` speaks for, if it still does.
    fn entry(&mut self, ticket: &Ticket) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&ticket.key());
        entry.filter(|entry| entry.stream == ticket.number)
    }

    /// Adds the workloads that are not among `all`: what the mesh runs itself comes first.
    pub(super) fn add_to(&self, all: &mut Workloads) {
        let declared = all.workloads.len();
        for ((namespace, name, _), entry) in &self.entries {
            let serves = entry.service_port.is_some();
            let is_theirs = |one: &Workload| is_taken(one, namespace, name, serves);
            if all.workloads[..declared].iter().any(is_theirs) {
                continue;
            }
            let is_it = |one: &Workload| one.name == **name && one.namespace == **namespace;
            match all.workloads[declared..].iter_mut().find(|one| is_it(one)) {
                Some(known) => known.replicas.push(entry.replica.clone()),
                None => all.workloads.push(Workload {
                    name: name.to_string(),
                    namespace: namespace.to_string(),
                    service_port: entry.service_port,
                    replicas: vec![entry.replica.clone()],
                    ..Workload::default()
                }),
            }
        }
    }
}

/// Whether `one` is called `name`, or its service is, which matters to those that serve.
fn is_taken(one: &Workload, namespace: &str, name: &str, serves: bool) -> bool {
    one.namespace == namespace && (one.name == name || serves && one.service() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(pod: &str, instance: u64) -> Candidate {
        Candidate {
            namespace: None,
            workload: "front".into(),
            instance,
            service_port: Some(80),
            replica: Replica {
                pod: pod.into(),
                ready: true,
                inbound: Some(([127, 0, 0, 1], 4000 + instance as u16).into()),
                embedded: true,
                ..Replica::default()
            },
        }
    }

    /// A mesh that runs `web` in the namespace `shop`.
    fn index() -> Index {
        let mut index = Index::new("cluster.local");
        index.set_workloads(declared(&["web"]));
        index
    }

    fn declared(names: &[&str]) -> Workloads {
        let workload = |name: &&str| Workload {
            name: (*name).to_owned(),
            namespace: "shop".to_owned(),
            ..Workload::default()
        };
        Workloads {
            namespace: "shop".to_owned(),
            workloads: names.iter().map(workload).collect(),
            ..Workloads::default()
        }
    }

    fn pods(index: &Index) -> Vec<&str> {
        let replicas = index.workloads().workloads.iter();
        let replicas = replicas.flat_map(|workload| &workload.replicas);
        replicas.map(|replica| replica.pod.as_str()).collect()
    }

    fn ports(index: &Index) -> Vec<u16> {
        let endpoints = index.endpoints("front:80", "shop").list;
        endpoints.iter().map(|one| one.addr.port()).collect()
    }

    #[test]
    fn a_registered_replica_is_a_workload_and_a_service_like_any_other() {
        let mut index = index();
        let first = index.register(candidate("", 1)).unwrap();
        assert_eq!((&*first.namespace, &*first.pod), ("shop", "front-0"));
        let second = index.register(candidate("", 2)).unwrap();
        assert_eq!(pods(&index), ["front-0", "front-1"]);
        assert_eq!(ports(&index), [4001, 4002]);

        index.set_registered(&second, false, false);
        assert_eq!(ports(&index), [4001]);
        index.unregister(&first);
        assert_eq!(pods(&index), ["front-1"]);
        index.unregister(&second);
        assert_eq!(index.workloads().workloads.len(), 1);
        assert!(!index.endpoints("front:80", "shop").exists);
    }

    #[test]
    fn who_comes_back_is_known_and_its_old_stream_takes_nothing_away() {
        let mut index = index();
        let old = index.register(candidate("front-0", 1)).unwrap();
        let new = index.register(candidate("front-0", 1)).unwrap();
        assert!(!index.lose(&old));
        index.unregister(&old);
        assert_eq!(pods(&index), ["front-0"]);
        assert!(index.lose(&new));
        assert!(!index.lose(&new), "once");
        assert_eq!(pods(&index), ["front-0"], "until somebody has waited");
        index.unregister(&new);
        assert!(pods(&index).is_empty());
    }

    #[test]
    fn a_name_belongs_to_one_process_for_as_long_as_it_lives() {
        let mut index = index();
        let first = index.register(candidate("front-0", 1)).unwrap();
        let refused = index.register(candidate("front-0", 2)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "another process is registered as front-0"
        );
        index.lose(&first);
        index.register(candidate("front-0", 2)).unwrap();
        assert_eq!(ports(&index), [4002]);
    }

    #[test]
    fn what_the_mesh_runs_itself_cannot_be_registered() {
        let mut index = index();
        let mut web = candidate("", 1);
        web.workload = "web".into();
        let refused = index.register(web.clone()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "web is a workload or a service that the mesh runs itself"
        );
        web.namespace = Some("other".into());
        assert!(index.register(web).is_ok());

        // One that the mesh runs from now on is in the way of those registered before.
        index.register(candidate("", 2)).unwrap();
        index.set_workloads(declared(&["front"]));
        assert!(ports(&index).is_empty());
        index.set_workloads(declared(&[]));
        assert_eq!(ports(&index), [4002]);
    }

    #[test]
    fn a_service_of_the_mesh_itself_is_not_taken_over() {
        let mut theirs = declared(&["web"]);
        theirs.workloads[0].service_port = Some(80);
        theirs.workloads[0].service = Some("front".to_owned());
        let mut index = index();
        index.set_workloads(theirs.clone());
        assert_eq!(
            index.register(candidate("", 1)),
            Err(Refusal::Declared("front".into()))
        );
        let caller = Candidate {
            service_port: None,
            ..candidate("caller", 1)
        };
        let caller = index.register(caller).unwrap();
        index.unregister(&caller);

        // Nor when it comes later.
        index.set_workloads(declared(&["web"]));
        index.register(candidate("", 1)).unwrap();
        assert_eq!(ports(&index), [4001]);
        index.set_workloads(theirs);
        assert!(index.endpoints("front:80", "shop").exists);
        assert_eq!(ports(&index), [0; 0]);
    }

    #[test]
    fn replicas_of_a_workload_agree_on_its_port() {
        let mut index = index();
        index.register(candidate("", 1)).unwrap();
        let mut other = candidate("", 2);
        other.service_port = None;
        let refused = index.register(other).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the workload's other replicas serve port 80"
        );
    }

    #[test]
    fn there_is_a_limit() {
        let mut index = index();
        let tickets: Vec<_> = (0..MAX_REGISTERED as u64)
            .map(|instance| index.register(candidate("", instance)).unwrap())
            .collect();
        assert_eq!(index.register(candidate("", 999)), Err(Refusal::Full));
        index.unregister(&tickets[7]);
        let ticket = index.register(candidate("", 999)).unwrap();
        assert_eq!(&*ticket.pod, "front-7");
    }
}
