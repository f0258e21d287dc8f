//! Looks at another machine, over ssh, for what `look.rs` looks for on this one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use xshell::Cmd;

use super::findings::store_remedy;
use super::look::{Disk, Machine, NixState, nix_remedy};
use super::requirements::HostTool;
use super::sandbox_probe::{self, SandboxProbe, StoreState, nix_error};
use super::store_access::{SETTINGS, access_there};
use super::system::Kind;
use crate::nix;
use crate::package_set::{self, Choice, NIX_FLOOR, host_pkgs};
use crate::pins::Nixpkgs;
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::remote::protocol::Hello;
use crate::remote::upload::Upload;
use crate::remote::{Mode, Remote};
use crate::repo::Repo;
use nix_formats::version::NixVersion;
use sys::process::{Captured, Processes};
use sys::terminal;

/// The other machine's store; `NIX_STORE_DIR` of this one is not its.
const STORE: &str = "/nix/store";
/// Prints the free KiB of the disk that a folder is on or would be on.
const FREE: &str = r#"place=$1
while [ ! -d "$place" ] && [ -n "$place" ]; do place=${place%/*}; done
df -Pk "${place:-/}""#;
/// Prints which of these files have no real one below /usr.
const NOT_IN_USR: &str = r#"for name do
  case $name in
  */*) path=/usr/$name ;;
  *) path=/usr/bin/$name ;;
  esac
  real=$(readlink -f "$path") && [ -f "$real" ] && case $real in /usr/*) ;; *) false ;; esac || echo "$name"
done"#;
/// Prints the file with the CA certificates that the machine trusts.
const CERTIFICATES: &str = r#"file=${NIX_SSL_CERT_FILE:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
[ ! -f "$file" ] || echo "$file""#;
/// Prints a folder of PostgreSQL's server programs.
const POSTGRESQL: &str = r#"for folder in /usr/lib/postgresql/*/bin; do
  [ ! -f "$folder/initdb" ] || [ ! -f "$folder/postgres" ] || echo "$folder"
done"#;

/// Connects and looks; an error where nothing can be done there at all.
pub fn look(
    processes: &Processes,
    repo: &Repo,
    tools: &BTreeMap<String, HostTool>,
    host: &str,
) -> Result<Machine> {
    let resolve = |container| sources::resolve(repo, container, &SourceOverride::default());
    let containers = repo.containers()?;
    let sources: Vec<Sources> = containers.iter().map(resolve).collect::<Result<_>>()?;
    let nixpkgs: Vec<Option<&Nixpkgs>> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
    let first = nixpkgs.iter().flatten().next();
    let path = first.and_then(|nixpkgs| package_set::path_in_store(STORE.into(), nixpkgs));
    let remote = Remote::connect(processes, host, path.as_deref(), false, None)?;
    let note = terminal::Note::new(&format!("connecting to {host}"));
    let hello = remote.await_hello()?;
    drop(note);
    hello.check(host)?;
    let seen = see(&remote, tools)?;
    let system = hello.system();
    let kind = Kind::of(&system, &seen.os_release);
    let nix = nix_state(&seen, kind);
    let (mut store, mut set) = (None, None);
    if let NixState::Runs(version) = &nix {
        let (major, minor) = NIX_FLOOR;
        if version.is_at_least(major, minor) {
            store = Some(store_state(&remote, repo, &hello, &seen)?);
        }
        set = Some(package_set(&remote, repo, version, &hello, &nixpkgs)?);
    }
    Ok(Machine {
        kind,
        nix,
        store,
        set,
        system,
        disk: Disk {
            store: STORE.into(),
            free: free(&seen.df).with_context(|| {
                format!(
                    "`df -Pk` on `{host}` printed no size of {STORE}: {}",
                    seen.df
                )
            })?,
        },
        tools: tools.clone(),
        missing: seen.missing.lines().map(str::to_owned).collect(),
        pip: some(seen.pip),
        certificates: some(seen.certificates).map(Utf8PathBuf::from),
        postgresql: seen.postgresql.lines().next().map(Utf8PathBuf::from),
        on_path: hello
            .get("node")
            .map(|node| ("node", node.into()))
            .into_iter()
            .collect(),
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// What the machine's programs said, without blanks at the ends; empty where one failed.
struct Seen {
    /// How asking Nix for its version ended.
    nix: Captured,
    os_release: String,
    etc_group: String,
    /// Number, name and groups of the user.
    user: [String; 3],
    df: String,
    missing: String,
    pip: String,
    certificates: String,
    postgresql: String,
    settings: String,
}

/// Asks all at once: each question would cost a round trip.
fn see(remote: &Remote<'_>, tools: &BTreeMap<String, HostTool>) -> Result<Seen> {
    let processes = remote.processes();
    let cmd = |program: &str, arguments: &[&str]| processes.cmd(program).args(arguments);
    let script = |text: &str| cmd("sh", &["-c", text, "sh"]);
    let files: BTreeSet<&String> = tools.values().flat_map(|tool| &tool.programs).collect();
    let pip = "import pip; print(pip.__version__)";
    let mut questions: Vec<Cmd<'_>> = vec![
        script("command -v nix-store >/dev/null || exit 127; exec nix-store --version"),
        cmd("cat", &["/etc/os-release"]),
        cmd("cat", &["/etc/group"]),
        cmd("id", &["-u"]),
        cmd("id", &["-un"]),
        cmd("id", &["-Gn"]),
        script(FREE).arg(STORE),
        script(NOT_IN_USR).args(files),
        cmd("/usr/bin/python3", &["-c", pip]),
        script(CERTIFICATES),
        script(POSTGRESQL),
    ];
    questions.extend(SETTINGS.map(|words| cmd("nix", words)));
    let mut answers = remote.run(Mode::All, questions)?.into_iter();
    let nix = answers.next().context("an answer was expected")?;
    let mut said = answers.map(|answer| {
        let is_good = answer.status.success();
        is_good.then(|| answer.stdout.trim().to_owned())
    });
    let mut next = || said.next().flatten().unwrap_or_default();
    Ok(Seen {
        nix,
        os_release: next(),
        etc_group: next(),
        user: [next(), next(), next()],
        df: next(),
        missing: next(),
        pip: next(),
        certificates: next(),
        postgresql: next(),
        settings: some(next()).unwrap_or_else(next),
    })
}

fn nix_state(seen: &Seen, kind: Kind) -> NixState {
    if seen.nix.status.code() == Some(127) {
        return NixState::Missing;
    }
    if let Ok(version) = seen.nix.stdout.trim().parse()
        && seen.nix.status.success()
    {
        return NixState::Runs(version);
    }
    let error = nix_error(&seen.nix);
    let [_, user, _] = &seen.user;
    // Nix 2.8 opens the socket before it prints its version.
    let remedy = if !error.contains("socket") {
        nix_remedy(&error).to_owned()
    } else if error.contains("Permission denied") {
        // Debian allows it to the group nix-users only.
        format!("as root `usermod -aG nix-users {user}`, then log in again")
    } else {
        store_remedy(&error, kind)
    };
    NixState::Broken { error, remedy }
}

/// Sends the settings of host-pkgs, and builds a tiny derivation with them.
fn store_state(remote: &Remote<'_>, repo: &Repo, hello: &Hello, seen: &Seen) -> Result<StoreState> {
    let access = access_there(
        &seen.settings,
        &seen.etc_group,
        hello.get("direct").is_some(),
        seen.user.each_ref().map(String::as_str),
    );
    let conf = Upload {
        to: "repo",
        from: repo.root.clone(),
        names: vec![repo.shown(&repo.host_pkgs().join("nix.conf")).to_string()],
        without: Vec::new(),
    };
    let packed = conf.pack(remote.processes())?;
    remote.deliver(&conf, &packed)?;
    let there = Repo {
        root: remote.below("repo"),
    };
    let variable = |name: &str| hello.get(name).map(str::to_owned);
    let environment = host_pkgs::settings(&there, Some("/usr".into()), None, variable);
    let probe = match environment {
        Ok(environment) => sandbox_probe::probe(remote.into(), &environment, &access)?,
        Err(error) => SandboxProbe::Impossible(format!("{error:#}")),
    };
    Ok(StoreState { access, probe })
}

/// The package set that `test-build --on HOST` would use.
fn package_set(
    remote: &Remote<'_>,
    repo: &Repo,
    version: &NixVersion,
    hello: &Hello,
    nixpkgs: &[Option<&Nixpkgs>],
) -> Result<Choice> {
    package_set::choose(
        None,
        version,
        nixpkgs,
        |_| Ok(hello.get("has_nixpkgs").is_some()),
        |nixpkgs| package_set::probe::probe_anew(nix::Machine::There(remote), repo, nixpkgs),
    )
}

/// The free bytes that `df -Pk` says: the fourth word of the last line, in KiB.
fn free(df: &str) -> Option<u64> {
    let kibibytes = df.lines().nth(1)?.split_whitespace().nth(3)?;
    Some(kibibytes.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 9 8 1 88% /nix";
        assert_eq!(free(df), Some(1024));
        assert_eq!(free("df: not found"), None);
    }
}
