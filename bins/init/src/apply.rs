use crate::{Family, Rules, rules};
use anyhow::{Context as _, bail};
use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// `CAP_NET_ADMIN`, as a bit of the sets in `/proc/self/status`.
const NET_ADMIN: u64 = 1 << 12;

/// Puts `rules` into force in the network namespace of this process, in place of those of an
/// earlier call. `iptables` is the firewall's program, whose `-save` and `-restore` are beside it.
///
/// # Errors
///
/// The right to do so is missing, or the firewall's programs are, or they refuse.
pub fn apply(rules: &Rules, family: Family, iptables: &Path) -> anyhow::Result<()> {
    check_rights()?;
    let saved = run(&program(iptables, family, "-save"), &["-t", "nat"], "")?;
    let text = rules.restore(family, &saved);
    // Others may be changing the firewall, too.
    let args = ["--wait", "10", "--noflush"];
    run(&program(iptables, family, "-restore"), &args, &text)?;
    Ok(())
}

/// Removes the rules of earlier calls of [`apply`] from the network namespace of this process.
/// Returns false if there were none. Rules that are not its own stay.
///
/// # Errors
///
/// As [`apply`].
pub fn remove(family: Family, iptables: &Path) -> anyhow::Result<bool> {
    check_rights()?;
    let saved = run(&program(iptables, family, "-save"), &["-t", "nat"], "")?;
    let Some(text) = rules::removal(&saved) else {
        return Ok(false);
    };
    let args = ["--wait", "10", "--noflush"];
    run(&program(iptables, family, "-restore"), &args, &text)?;
    Ok(true)
}

fn check_rights() -> anyhow::Result<()> {
    if !may_administer() {
        bail!(
            "changing the firewall needs root, or the capability NET_ADMIN; --dry-run shows what \
             would be changed"
        );
    }
    Ok(())
}

/// `iptables`, or `ip6tables` for the other family, with `suffix`.
fn program(iptables: &Path, family: Family, suffix: &str) -> PathBuf {
    let name = iptables.file_name().unwrap_or_default().to_string_lossy();
    let name = match family {
        Family::V4 => name.into_owned(),
        Family::V6 => name.replacen("iptables", "ip6tables", 1),
    };
    let mut name = OsString::from(name);
    name.push(suffix);
    iptables.with_file_name(name)
}

fn run(program: &Path, args: &[&str], input: &str) -> anyhow::Result<String> {
    let started = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "there is no program `{}`: install iptables (on Debian: apt install iptables), or say \
             where it is with --firewall-bin-path",
            program.display()
        ),
        started => started.with_context(|| format!("cannot start {}", program.display()))?,
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stops reading reports its reason itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}): {}",
            program.display(),
            output.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns true if this process may change the firewall, or if that is unknown.
fn may_administer() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_none_or(|set| set & NET_ADMIN != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_family_has_programs_of_its_own() {
        for (iptables, family, program_is) in [
            ("iptables", Family::V4, "iptables-restore"),
            ("iptables-nft", Family::V6, "ip6tables-nft-restore"),
            (
                "/usr/sbin/iptables-legacy",
                Family::V6,
                "/usr/sbin/ip6tables-legacy-restore",
            ),
        ] {
            let program = program(Path::new(iptables), family, "-restore");
            assert_eq!(program, Path::new(program_is));
        }
    }

    #[test]
    fn a_firewall_that_is_not_there_is_named() {
        let error = run(Path::new("no-such-iptables-save"), &[], "").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no-such-iptables-save"), "{text}");
        assert!(text.contains("--firewall-bin-path"), "{text}");
    }
}
