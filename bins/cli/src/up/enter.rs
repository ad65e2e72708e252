//! `mesh enter`: what a process does first that runs in a pod of its own.
//!
//! It goes into the pod's network namespace, gets the names of the mesh in place of `/etc/hosts`,
//! becomes another user, and then goes on as the `mesh` that the rest of its arguments say. It does
//! not start another program: the user that it becomes might not be allowed to read this one.

use super::netns;
use anyhow::{Context as _, Result};
use rustix::{
    mount::mount_bind,
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use std::{ffi::OsString, fs::File, path::PathBuf};

/// Placeholder of an absent argument.
const NONE: &str = "-";
/// The name of this command.
const COMMAND: &str = "enter";

/// Where a process is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Within {
    /// The network namespace.
    pub(crate) network: PathBuf,
    /// The file that takes the place of `/etc/hosts`.
    pub(crate) hosts: Option<PathBuf>,
    /// The user and group that it becomes.
    pub(crate) user: Option<u32>,
}

impl Within {
    /// The arguments that make a `mesh` process go there first.
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

/// Goes where the command line says, if it says so; returns the rest of the line.
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

/// There is no other thread yet that would stay who it was.
fn become_user(id: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}
