//! `mesh enter`: the first step of a process that runs in a pod of its own.
//!
//! The process enters the pod's network namespace, mounts the names of the mesh over `/etc/hosts`,
//! changes its user, and then runs the command in the rest of its arguments. It does not execute
//! `mesh` again: the new user may not be allowed to read that file.

use super::netns;
use anyhow::{Context as _, Result};
use rustix::{
    mount::mount_bind,
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use serde::{Deserialize, Serialize};
use std::{ffi::OsString, fs::File, path::PathBuf};

/// Placeholder of an absent argument.
const NONE: &str = "-";
/// Name of this hidden command.
const COMMAND: &str = "enter";

/// Namespace, names and user of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Within {
    /// The network namespace.
    pub(crate) network: PathBuf,
    /// File that is mounted over `/etc/hosts`.
    pub(crate) hosts: Option<PathBuf>,
    /// User and group id of the process.
    pub(crate) user: Option<u32>,
}

impl Within {
    /// Returns the arguments that make a `mesh` process enter first.
    pub(crate) fn args(&self) -> [OsString; 4] {
        let hosts = self.hosts.as_ref();
        [
            COMMAND.into(),
            self.network.clone().into(),
            hosts.map_or(NONE.into(), |hosts| hosts.clone().into()),
            self.user
                .map_or(NONE.into(), |user| user.to_string().into()),
        ]
    }
}

/// Enters if the command line begins with `enter`, and returns its remaining arguments.
pub(crate) fn invoked() -> Result<Option<Vec<OsString>>> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|command| command != COMMAND) {
        return Ok(None);
    }
    let (Some(network), Some(hosts), Some(user)) = (args.next(), args.next(), args.next()) else {
        anyhow::bail!("usage: mesh enter NETWORK HOSTS|- USER|- COMMAND...");
    };
    let network = PathBuf::from(network);
    let namespace =
        File::open(&network).with_context(|| format!("opening {}", network.display()))?;
    netns::enter(namespace).context("entering a network namespace")?;
    if hosts != NONE {
        // In a mount namespace of its own, which `unshare` made.
        mount_bind(&*hosts, "/etc/hosts").context("putting names into /etc/hosts")?;
    }
    if user != NONE {
        let id: u32 = user
            .to_str()
            .and_then(|user| user.parse().ok())
            .context("USER is not a number")?;
        become_user(id).with_context(|| format!("becoming the user {id}"))?;
    }
    Ok(Some(args.collect()))
}

/// Changes user and group of the calling thread. No other thread exists yet.
fn become_user(id: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}
