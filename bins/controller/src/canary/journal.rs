//! The state and the last events of a Canary, in a file: a killed controller goes on from it.

use crate::StateDir;
use mesh_canary::{Severity, State};
use mesh_control::model::{Canary, Metadata};
use mesh_local::atomic;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Most events that are kept; the oldest is forgotten first.
const MAX_EVENTS: usize = 100;

/// An event of a Canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Time since the Unix epoch.
    pub(super) at: Duration,
    pub(super) is_warning: bool,
    pub(super) message: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    /// The resource, to end what it began if it is deleted while no controller runs.
    #[serde(default)]
    canary: Option<mesh_canary::spec::Canary>,
    state: State,
    #[serde(default)]
    events: VecDeque<Entry>,
}

/// The file of one Canary.
#[derive(Debug)]
pub(super) struct Journal {
    name: String,
    path: PathBuf,
    file: File,
    /// Messages since they were last taken.
    recent: Vec<String>,
    /// The complaint that was logged last, so that it is not logged at each tick.
    complaint: Option<String>,
}

impl Journal {
    /// Reads the file of a Canary, if there is one that can be read.
    pub(super) fn open(state: &StateDir, namespace: &str, name: &str) -> Self {
        let path = state
            .canaries()
            .join(namespace)
            .join(format!("{name}.json"));
        let file = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!("{} is invalid and begins anew: {error}", path.display());
                File::default()
            }),
            Err(_) => File::default(),
        };
        Self {
            name: format!("{name}.{namespace}"),
            path,
            file,
            recent: Vec::new(),
            complaint: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.file.state.clone()
    }

    /// Keeps a state, if it is another.
    pub(super) fn keep(&mut self, state: &State) {
        if self.file.state != *state {
            self.file.state = state.clone();
            self.write();
        }
    }

    /// Adds an event, and logs it.
    pub(super) fn note(&mut self, severity: Severity, message: &str) {
        let is_warning = severity == Severity::Warning;
        match is_warning {
            true => tracing::warn!(canary = self.name, "{message}"),
            false => tracing::info!(canary = self.name, "{message}"),
        }
        self.complaint = None;
        self.recent.push(message.to_owned());
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        let entry = Entry {
            at: at.unwrap_or_default(),
            is_warning,
            message: message.to_owned(),
        };
        // One that repeats takes the place of the last.
        let events = &mut self.file.events;
        if events
            .back()
            .is_some_and(|last| last.message == entry.message)
        {
            events.pop_back();
        }
        events.push_back(entry);
        while events.len() > MAX_EVENTS {
            events.pop_front();
        }
        self.write();
    }

    /// Adds a warning, unless it is the last one.
    pub(super) fn complain(&mut self, reason: &str) {
        if self.complaint.as_deref() != Some(reason) {
            self.note(Severity::Warning, reason);
            self.complaint = Some(reason.to_owned());
        }
    }

    /// Returns the messages since the last call.
    pub(super) fn take_recent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.recent)
    }

    /// Keeps the resource that the state belongs to.
    pub(super) fn set_canary(&mut self, canary: &Canary) {
        let resource = Some(canary.resource());
        if self.file.canary != resource {
            self.file.canary = resource;
            self.write();
        }
    }

    pub(super) fn events(&self) -> Vec<Entry> {
        self.file.events.iter().cloned().collect()
    }

    /// Removes the file: the Canary is gone.
    pub(super) fn remove(&self) {
        if let Err(error) = atomic::remove(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }

    fn write(&self) {
        let text = serde_json::to_vec(&self.file).expect("a state has text keys");
        if let Err(error) = atomic::write(&self.path, &text) {
            tracing::error!("cannot write {}: {error}", self.path.display());
        }
    }
}

/// Returns the Canaries that have a file.
pub(super) fn canaries(state: &StateDir) -> Vec<Canary> {
    let folders = fs::read_dir(state.canaries()).into_iter().flatten();
    let folders = folders.flatten().map(|folder| folder.path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let canaries = files.filter_map(|file| {
        let file: File = serde_json::from_slice(&fs::read(file.path()).ok()?).ok()?;
        let canary = file.canary?;
        Some(Canary {
            namespace: canary.metadata.namespace?.into(),
            name: canary.metadata.name.into(),
            metadata: Metadata {
                api_version: canary.api_version,
                labels: canary.metadata.labels,
                annotations: canary.metadata.annotations,
                created: None,
            },
            spec: canary.spec.into(),
        })
    });
    canaries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again_and_events_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = StateDir::new(dir.path());
        let mut journal = Journal::open(&state_dir, "test", "podinfo");
        let mut state = State::default();
        state.failed_checks = 3;
        journal.keep(&state);
        for number in 0..MAX_EVENTS + 5 {
            journal.note(Severity::Normal, &format!("event {number}"));
        }
        assert_eq!(journal.take_recent().len(), MAX_EVENTS + 5);
        journal.note(Severity::Normal, "event 104");
        assert_eq!(journal.take_recent(), ["event 104"]);
        for _ in 0..3 {
            journal.complain("no workload");
        }
        let again = Journal::open(&state_dir, "test", "podinfo");
        assert_eq!(again.state(), state);
        assert_eq!(again.events().len(), MAX_EVENTS);
        assert_eq!(again.events().last().unwrap().message, "no workload");
        again.remove();
        assert_eq!(
            Journal::open(&state_dir, "test", "podinfo").state(),
            State::default()
        );
    }

    #[test]
    fn a_broken_file_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = StateDir::new(dir.path());
        let path = state_dir.canaries().join("test/a.json");
        atomic::write(&path, b"{").unwrap();
        assert_eq!(
            Journal::open(&state_dir, "test", "a").state(),
            State::default()
        );
    }
}
