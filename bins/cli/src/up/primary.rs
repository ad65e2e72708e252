//! Primaries: a second set of replicas of a workload, which keeps the last good template while a
//! canary release tries the next one.
//!
//! A template is everything that a replica's program depends on: command, folder, environment, and
//! the file that it runs. The controller names templates by their hash, as `workloads.json` has it.

use super::{
    api::PrimaryRequest,
    config::{Config, HostPort, ServicePort, Workload},
    plan, rollout,
    supervisor::Supervisor,
};
use anyhow::{Context as _, Result, bail};
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// Most templates that are kept of a workload; the oldest is forgotten first.
const MAX_TEMPLATES: usize = 10;

/// Suffix of a primary's name, as Flagger has it.
const SUFFIX: &str = "-primary";

/// Returns the name of the primary of a workload.
pub(super) fn primary_name(target: &str) -> String {
    format!("{target}{SUFFIX}")
}

/// Templates of all workloads, and the primaries that run.
#[derive(Debug, Default)]
pub(super) struct Primaries {
    /// Last templates of each workload by their hash, oldest first.
    templates: BTreeMap<String, VecDeque<(String, Workload)>>,
    /// Running primaries by the name of their target, with the hash of their template.
    running: BTreeMap<String, (String, Workload)>,
}

impl Primaries {
    /// Remembers the current template of a workload and returns its hash. That of a primary is the
    /// one it was given, even if its program's file has changed since.
    pub(super) fn remember(&mut self, name: &str, workload: &Workload) -> String {
        if let Some((hash, _)) = name
            .strip_suffix(SUFFIX)
            .and_then(|it| self.running.get(it))
        {
            return hash.clone();
        }
        let hash = hash(workload);
        let templates = self.templates.entry(name.to_owned()).or_default();
        templates.retain(|(other, _)| *other != hash);
        templates.push_back((hash.clone(), workload.clone()));
        while templates.len() > MAX_TEMPLATES {
            templates.pop_front();
        }
        hash
    }

    fn template(&self, name: &str, hash: &str) -> Option<&Workload> {
        let mut templates = self.templates.get(name)?.iter();
        templates.find(|(other, _)| other == hash).map(|(_, it)| it)
    }

    /// Returns true if `name` is a primary.
    pub(super) fn is_primary(&self, name: &str) -> bool {
        name.strip_suffix(SUFFIX)
            .is_some_and(|target| self.has(target))
    }

    /// Returns true if the workload has a primary.
    pub(super) fn has(&self, target: &str) -> bool {
        self.running.contains_key(target)
    }

    /// Adds the primaries to a configuration that was read from a file. The file's number of replicas
    /// is that of the primary; `running` is that of the target, which its canary release decides.
    ///
    /// # Errors
    ///
    /// If the file has a workload with the name of a primary.
    pub(super) fn complete(
        &self,
        config: &mut Config,
        running: impl Fn(&str) -> Option<u32>,
    ) -> Result<()> {
        for (target, (_, primary)) in &self.running {
            let Some(workload) = config.workloads.get_mut(target) else {
                continue;
            };
            let mut primary = primary.clone();
            primary.replicas = workload.replicas;
            workload.replicas = running(target).unwrap_or(workload.replicas);
            let name = primary_name(target);
            if config.workloads.insert(name.clone(), primary).is_some() {
                bail!(
                    "`{name}` is the primary of the canary release of `{target}`: give the workload \
                     another name"
                );
            }
        }
        Ok(())
    }

    /// Forgets the primaries and templates of workloads that the configuration does not have.
    pub(super) fn follow(&mut self, config: &Config) {
        let is_known = |target: &String| config.workloads.contains_key(target);
        self.running.retain(|target, _| is_known(target));
        self.templates.retain(|target, _| is_known(target));
    }
}

impl Supervisor {
    /// Runs the primary of a workload with a template, or removes it.
    ///
    /// # Errors
    ///
    /// If there is no such workload or template, or two sets of its replicas cannot run at once.
    pub(super) async fn set_primary(&mut self, request: &PrimaryRequest) -> Result<()> {
        let target = &request.name;
        let declared = self.declared(&request.namespace, target)?;
        let name = primary_name(target);
        let Some(hash) = &request.template else {
            self.primaries.running.remove(target);
            self.config.workloads.remove(&name);
            self.remove(&name).await;
            return Ok(());
        };
        if declared.port.is_none() {
            bail!("workload `{target}` has no port, so there is no traffic to shift");
        }
        if declared.listens().next().is_some() && self.network.is_none() {
            bail!(
                "workload `{target}` always listens on one port, so two sets of its replicas cannot \
                 run at once: let it listen on $PORT, or use `mesh up --transparent`"
            );
        }
        let is_ours = self.primaries.has(target);
        if !is_ours && self.config.workloads.contains_key(&name) {
            bail!("mesh.yaml has a workload `{name}` already, which is the name of the primary");
        }
        let replicas = match self.config.workloads.get(&name) {
            Some(running) => running.replicas,
            None => declared.replicas.max(1),
        };
        let template = self.primaries.template(target, hash);
        let template =
            template.with_context(|| format!("`{target}` has no such template any more"))?;
        let ports = template.ports.iter().cloned().map(|port| ServicePort {
            host_port: None,
            ..port
        });
        let primary = Workload {
            service: name.clone(),
            host_port: HostPort::None,
            ports: ports.collect(),
            replicas,
            ..template.clone()
        };
        let running = (hash.clone(), primary.clone());
        let before = self.primaries.running.insert(target.clone(), running);
        self.config.workloads.insert(name.clone(), primary.clone());
        let is_new = before.is_none_or(|(before, _)| before != *hash);
        match self.workloads.get_mut(&name) {
            Some(deployed) => {
                // The same command may run another file now.
                if is_new {
                    deployed.set_outdated();
                }
                self.update(&name, primary).await?;
            }
            None => self.deploy(&name, primary)?,
        }
        Ok(())
    }
}

/// Returns the hash of all that a replica's program depends on.
fn hash(workload: &Workload) -> String {
    let template = Workload {
        // A workload and its primary differ in nothing but that.
        service: String::new(),
        ..plan::template(workload)
    };
    let mut hasher = DefaultHasher::new();
    (format!("{template:?}"), rollout::build_of(workload)).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        let text = format!("namespace: test\nworkloads:\n{text}");
        Config::parse(&text, "mesh.yaml", Path::new("/mesh.yaml")).unwrap()
    }

    fn web(more: &str) -> Workload {
        config(&format!(
            "  web:\n    command: sleep 1\n    port: 80\n{more}"
        ))
        .workloads["web"]
            .clone()
    }

    #[test]
    fn a_template_is_another_if_its_program_would_notice() {
        let plain = hash(&web(""));
        for same in [
            "    replicas: 3\n",
            "    host_port: 8000\n",
            "    service: other\n",
        ] {
            assert_eq!(hash(&web(same)), plain, "{same}");
        }
        for other in [
            "    env: {A: b}\n",
            "    stdin: false\n",
            "    ports: [{port: 81}]\n",
        ] {
            assert_ne!(hash(&web(other)), plain, "{other}");
        }
    }

    #[test]
    fn the_last_templates_are_kept() {
        let mut primaries = Primaries::default();
        let template = |number: usize| web(&format!("    env: {{N: '{number}'}}\n"));
        let hashes: Vec<_> = (0..MAX_TEMPLATES + 1)
            .map(|number| primaries.remember("web", &template(number)))
            .collect();
        assert!(primaries.template("web", &hashes[0]).is_none());
        assert_eq!(primaries.template("web", &hashes[1]), Some(&template(1)));
    }

    #[test]
    fn a_primary_runs_as_many_replicas_as_the_file_says_and_its_target_as_it_did() {
        let mut primaries = Primaries::default();
        let running = ("hash".to_owned(), web("    env: {OLD: '1'}\n"));
        primaries.running.insert("web".to_owned(), running);
        let mut read = config("  web: {command: sleep 1, port: 80, replicas: 3}\n");
        primaries.complete(&mut read, |_| Some(0)).unwrap();
        assert_eq!(read.workloads["web"].replicas, 0);
        assert_eq!(read.workloads["web-primary"].replicas, 3);
        assert!(read.workloads["web-primary"].env.contains_key("OLD"));

        let taken = "  web: {command: sleep 1, port: 80}\n  web-primary: {command: sleep 1}\n";
        let error = primaries
            .complete(&mut config(taken), |_| None)
            .unwrap_err();
        assert!(error.to_string().contains("another name"), "{error}");

        let without = config("  other: {command: sleep 1}\n");
        primaries.complete(&mut without.clone(), |_| None).unwrap();
        assert!(primaries.has("web"), "a refused file changes nothing");
        primaries.follow(&without);
        assert!(!primaries.has("web"));
    }
}
