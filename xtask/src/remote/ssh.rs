//! The ssh command, and the names that this run has on the other machine.

use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use camino::Utf8Path;
use nix_formats::sri::hex;
use sha2::{Digest as _, Sha256};
use sys::files;
use sys::process::Processes;
use xshell::Cmd;

/// All that a login shell has to understand.
const COMMAND: &str = "exec sh -s";

/// A port of this machine that leads to one of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port of 127.0.0.1 here.
    pub here: u16,
    /// The port of 127.0.0.1 there.
    pub there: u16,
}

/// Makes sure that ssh takes a text for the name of a host, and for nothing else.
pub fn check_host(host: &str) -> Result<()> {
    let is_wrong = |c: char| c.is_whitespace() || c.is_control();
    if host.is_empty() || host.starts_with('-') || host.chars().any(is_wrong) {
        bail!(
            "invalid host name `{host}`: give one that `ssh` takes, HOST or USER@HOST, or `local`"
        );
    }
    Ok(())
}

/// ssh, which runs a shell there that reads its stdin.
pub fn command<'a>(
    processes: &'a Processes,
    host: &str,
    compressed: bool,
    forward: Option<Forward>,
) -> Cmd<'a> {
    // As Nix has it for its own use of ssh.
    let own = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    let compression = if compressed { "yes" } else { "no" };
    processes
        .cmd("ssh")
        .arg("-T")
        .args(own.split_whitespace())
        .args([
            // There is nobody to answer questions, and what ssh says is read for its reasons.
            "-oBatchMode=yes",
            "-oLogLevel=INFO",
            // A connection that is open for others to use is used; this one ends with the run.
            "-oControlMaster=no",
            "-oRemoteCommand=none",
            // What runs there gets nothing of this session's.
            "-oForwardAgent=no",
            "-oForwardX11=no",
            "-oConnectTimeout=15",
            "-oServerAliveInterval=5",
            "-oServerAliveCountMax=2",
        ])
        .args(forwarding(forward))
        .arg(format!("-oCompression={compression}"))
        .args(["--", host, COMMAND])
}

/// What ssh forwards: nothing, or one port and that by a connection of its own, since one that is open for
/// others to use would forward it for as long as it lasts.
fn forwarding(forward: Option<Forward>) -> Vec<String> {
    match forward {
        None => vec!["-oClearAllForwardings=yes".to_owned()],
        Some(Forward { here, there }) => vec![
            "-oControlPath=none".to_owned(),
            format!("-L127.0.0.1:{here}:127.0.0.1:{there}"),
        ],
    }
}

/// Who runs this: user, machine, process and when it began, for a file name.
pub fn whose() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!(
        "{}@{}.{}.{}",
        user(),
        machine(),
        std::process::id(),
        now.map_or(0, |since| since.as_secs())
    )
}

/// This user and machine and the repository at `root`, for the folder of links to results.
///
/// The name of a Mac changes with the network that it is in: the first one is kept in the folder `state`.
pub fn owner(root: &Utf8Path, state: &Utf8Path) -> String {
    let file = state.join("machine");
    let kept = fs_err::read_to_string(&file).unwrap_or_default();
    let machine = match kept.trim() {
        name if !name.is_empty() && name == for_a_name(name) => name.to_owned(),
        _ => {
            let name = machine();
            // Where it can't be kept the name of today has to do.
            if fs_err::create_dir_all(state).is_ok() {
                let _ = files::write_atomically(&file, format!("{name}\n").as_bytes(), 0o644);
            }
            name
        }
    };
    let digest = Sha256::digest(root.as_str());
    format!("{}@{machine}-{}", user(), hex(&digest[..4]))
}

fn user() -> String {
    let variable = |name: &str| std::env::var(name).ok();
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    for_a_name(&user.unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string()))
}

/// The name that this machine has now.
fn machine() -> String {
    for_a_name(&rustix::system::uname().nodename().to_string_lossy())
}

/// The text as a part of a file name that needs no quotes and is not long.
fn for_a_name(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    text.chars().map(plain).take(32).collect()
}

/// Thirty-two hexadecimal digits that nobody else knows.
pub fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_network_is_no_other_owner() {
        let folder = tempfile::tempdir().unwrap();
        let state = Utf8Path::from_path(folder.path()).unwrap().join("state");
        let first = owner("/r".into(), &state);
        assert!(first.contains(&format!("@{}-", machine())), "{first}");
        // What it kept counts, and nothing that is no name.
        let file = state.join("machine");
        for (kept, name) in [
            ("mac-home", "mac-home".to_owned()),
            ("", machine()),
            ("../x", machine()),
        ] {
            files::write_atomically(&file, kept.as_bytes(), 0o644).unwrap();
            let owner = owner("/r".into(), &state);
            assert!(owner.contains(&format!("@{name}-")), "{owner}");
        }
        fs_err::remove_file(&file).unwrap();
        assert_eq!(owner("/r".into(), &state), first);
        assert_eq!(fs_err::read_to_string(&file).unwrap(), machine() + "\n");
        assert_ne!(owner("/s".into(), &state), first);
    }

    #[test]
    fn names_of_folders_need_no_quotes() {
        assert_eq!(for_a_name("o'neill j.$(x)"), "o-neill-j---x-");
        let whose = whose();
        assert_eq!(whose.split('.').count(), 3, "{whose}");
    }
}
