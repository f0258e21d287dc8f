//! How this user reaches Nix's store: directly, or through a daemon that may or may not trust them.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use super::system::Kind;
use crate::nix;
use sys::process::{Processes, find_program, is_missing_program};

/// What Nix is asked for its settings by, one after the other; the first is the newer name of the second.
pub const SETTINGS: [&[&str]; 2] = [
    &[
        "--extra-experimental-features",
        "nix-command",
        "config",
        "show",
    ],
    &[
        "--extra-experimental-features",
        "nix-command",
        "show-config",
    ],
];

/// How Nix's store is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// As root, who needs users to build as: the group, and how many members it has.
    Root { group: String, members: usize },
    /// As the store's owner.
    Owner,
    /// Through a daemon; `listed` says whether `trusted-users` has this user.
    Daemon { user: String, listed: bool },
    /// Not at all: only members of a group may open the daemon's socket; how to become one.
    Closed { remedy: String },
    /// Not at all: the daemon is installed, but not running.
    Stopped,
    /// Not at all: no daemon is installed.
    Nothing,
}

/// How this user reaches Nix's store.
pub fn access(processes: &Processes) -> Result<Access> {
    let settings = nix_settings(processes)?;
    let user = rustix::process::geteuid();
    if user.is_root() {
        let group = setting(&settings, "build-users-group")
            .unwrap_or("nixbld")
            .to_owned();
        return Ok(Access::Root {
            members: members_of(&etc_group()?, &group),
            group,
        });
    }
    if nix::owns_store() {
        return Ok(Access::Owner);
    }
    if let Some(remedy) = closed(processes)? {
        return Ok(Access::Closed { remedy });
    }
    if !socket().exists() {
        return Ok(if find_program("nix-daemon").is_some() {
            Access::Stopped
        } else {
            Access::Nothing
        });
    }
    let (user, groups) = (id(processes, "-un")?, id(processes, "-Gn")?);
    let groups: Vec<&str> = groups.split_whitespace().collect();
    let trusted = setting(&settings, "trusted-users").unwrap_or_default();
    Ok(Access::Daemon {
        listed: trusts(trusted, &user, &groups),
        user,
    })
}

/// How another machine's user reaches its store, from what is said there: `direct` without a daemon. That
/// a daemon does not answer is seen when it is asked.
pub fn access_there(
    settings: &str,
    etc_group: &str,
    direct: bool,
    [number, user, groups]: [&str; 3],
) -> Access {
    let settings = |key| setting(settings, key);
    if direct && number == "0" {
        let group = settings("build-users-group").unwrap_or("nixbld");
        return Access::Root {
            group: group.to_owned(),
            members: members_of(etc_group, group),
        };
    }
    if direct {
        return Access::Owner;
    }
    let groups: Vec<&str> = groups.split_whitespace().collect();
    Access::Daemon {
        listed: trusts(settings("trusted-users").unwrap_or_default(), user, &groups),
        user: user.to_owned(),
    }
}

/// What to do about a daemon that does not trust this user.
pub fn trust_remedy(user: &str, listed: bool, kind: Kind) -> String {
    if listed {
        return format!(
            "restart the daemon, which has not read yet that `{user}` is a trusted user: \
             `systemctl restart nix-daemon`"
        );
    }
    if kind == Kind::NixOs {
        return format!(
            "set `nix.settings.trusted-users = [ \"root\" \"{user}\" ];` in the configuration of NixOS, and \
             `nixos-rebuild switch`"
        );
    }
    format!("add `extra-trusted-users = {user}` to /etc/nix/nix.conf and restart nix-daemon")
}

/// The daemon's socket.
fn socket() -> Utf8PathBuf {
    std::env::var("NIX_DAEMON_SOCKET_PATH").map_or_else(
        |_| "/nix/var/nix/daemon-socket/socket".into(),
        Utf8PathBuf::from,
    )
}

/// What to do for a user who may not enter the folder of the daemon's socket: Debian allows it to the
/// group nix-users only.
pub fn closed(processes: &Processes) -> Result<Option<String>> {
    let socket = socket();
    let denied =
        fs_err::metadata(&socket).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let folder = socket.parent().map(fs_err::metadata);
    let Some(Ok(folder)) = folder.filter(|_| denied) else {
        return Ok(None);
    };
    if folder.mode() & 0o010 == 0 {
        return Ok(None);
    }
    let group = group_of(&etc_group()?, folder.gid());
    let user = id(processes, "-un")?;
    Ok(Some(format!(
        "as root `usermod -aG {group} {user}`, then log in again"
    )))
}

fn etc_group() -> Result<String> {
    fs_err::read_to_string("/etc/group").context("reading the groups")
}

/// What id(1) prints about this user.
fn id(processes: &Processes, argument: &str) -> Result<String> {
    let captured = processes.capture(processes.cmd("id").arg(argument))?;
    Ok(captured.stdout.trim().to_owned())
}

/// Nix's settings as lines of `key = value`; empty if it does not print them.
fn nix_settings(processes: &Processes) -> Result<String> {
    for words in SETTINGS {
        let command = processes.cmd("nix").args(words);
        match processes.capture(command) {
            Ok(captured) if captured.status.success() => return Ok(captured.stdout),
            Ok(_) => {}
            Err(error) if is_missing_program(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::new())
}

fn setting<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    settings.lines().find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim())
    })
}

/// How many members a group of `/etc/group` (group(5)) lists.
fn members_of(groups: &str, name: &str) -> usize {
    let group = groups.lines().find_map(|line| {
        let (found, rest) = line.split_once(':')?;
        (found == name).then_some(rest)
    });
    let members = group.and_then(|group| group.splitn(3, ':').nth(2));
    let members = members.unwrap_or_default().split(',');
    members.filter(|member| !member.is_empty()).count()
}

/// The name of a group of `/etc/group`, or its number.
fn group_of(groups: &str, number: u32) -> String {
    let number = number.to_string();
    groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&number.as_str()))
        .map_or(number.clone(), |fields| fields[0].to_owned())
}

/// Whether a `trusted-users` list (`root @wheel *`) includes a user.
fn trusts(list: &str, user: &str, groups: &[&str]) -> bool {
    list.split_whitespace()
        .any(|entry| match entry.strip_prefix('@') {
            Some(group) => groups.contains(&group),
            None => entry == "*" || entry == user,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_trust() {
        let groups = "root:x:0:\nnixbld:x:994:nixbld1,nixbld2\nempty:x:1:\n";
        assert_eq!(members_of(groups, "nixbld"), 2);
        assert_eq!(members_of(groups, "empty"), 0);
        assert_eq!(members_of(groups, "none"), 0);
        assert_eq!(group_of(groups, 994), "nixbld");
        assert_eq!(group_of(groups, 99), "99");
        assert!(trusts("root u", "u", &[]) && trusts("*", "u", &[]));
        assert!(trusts("root @wheel", "u", &["users", "wheel"]));
        assert!(!trusts("root @wheel", "u", &["users"]) && !trusts("", "u", &[]));
        assert_eq!(setting("a = b c\nab = d\n", "ab"), Some("d"));
        assert_eq!(setting("a = b\n", "x"), None);
    }
}
