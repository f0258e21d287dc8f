//! Looks at this machine: Nix, its store, the disk, and the programs that the commands need.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::requirements::{HostTool, PROGRAMS};
use super::sandbox_probe::{SandboxProbe, StoreState, nix_error, store_state};
use super::store_access::closed;
use super::system::Kind;
use crate::nix::{self, Nix};
use crate::package_set::{self, Choice};
use crate::pins::Nixpkgs;
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::repo::Repo;
use nix_formats::log;
use nix_formats::version::NixVersion;
use sys::platform;
use sys::process::{Processes, find_program, is_missing_program};

/// Where Debian has PostgreSQL's server programs: VERSION/bin below it.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Where the installers of Nix put its programs: not on PATH until a shell reads their profile.
const OFF_PATH: [&str; 2] = [
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
];

/// The state of this machine.
#[derive(Debug)]
pub struct Machine {
    pub kind: Kind,
    pub nix: NixState,
    /// Nix's store and sandbox; unknown without a Nix that runs.
    pub store: Option<StoreState>,
    /// The package set that a build would use; unknown without a Nix that runs.
    pub set: Option<Choice>,
    /// Such as `x86_64-linux`.
    pub system: String,
    pub disk: Disk,
    /// What host-pkgs uses from /usr, by package.
    pub tools: BTreeMap<String, HostTool>,
    /// Which of their programs are missing in /usr.
    pub missing: BTreeSet<String>,
    /// The version of /usr/bin/python3's pip.
    pub pip: Option<String>,
    pub certificates: Option<Utf8PathBuf>,
    /// The folder of PostgreSQL's server programs.
    pub postgresql: Option<Utf8PathBuf>,
    /// The programs of [`PROGRAMS`], `node` and `go`, wherever they are on PATH.
    pub on_path: BTreeMap<&'static str, Utf8PathBuf>,
}

/// The Nix on PATH.
#[derive(Debug)]
pub enum NixState {
    Missing,
    /// It is in this folder, which is not on PATH.
    OffPath(&'static str),
    /// It can't even print its version: its error, and what to do.
    Broken {
        error: String,
        remedy: String,
    },
    Runs(NixVersion),
}

/// The disk of the store, whether it exists yet or not.
#[derive(Debug)]
pub struct Disk {
    pub store: Utf8PathBuf,
    /// In bytes, for users who are not root.
    pub free: u64,
}

/// Looks at this machine.
pub fn look(
    processes: &Processes,
    repo: &Repo,
    tools: &BTreeMap<String, HostTool>,
    kind: Kind,
) -> Result<Machine> {
    let nix = nix_state(processes)?;
    let (store, set) = match &nix {
        NixState::Runs(version) => {
            let store = store_state(processes, repo)?;
            let set = package_set(processes, repo, version, &store)?;
            (Some(store), Some(set))
        }
        _ => (None, None),
    };
    let names = PROGRAMS.iter().flat_map(|program| program.names);
    let programs = tools.values().flat_map(|tool| &tool.programs);
    Ok(Machine {
        kind,
        nix,
        store,
        set,
        system: platform::nix_system(),
        disk: disk(&nix::store_dir())?,
        missing: programs.filter(|it| !is_in_usr(it)).cloned().collect(),
        tools: tools.clone(),
        pip: pip(processes)?,
        certificates: certificates(),
        postgresql: postgresql(POSTGRESQL.into()),
        on_path: names
            .chain(&["node", "go"])
            .filter_map(|name| Some((*name, find_program(name)?)))
            .collect(),
    })
}

fn nix_state(processes: &Processes) -> Result<NixState> {
    let captured = match processes.capture(processes.cmd("nix-store").arg("--version")) {
        Err(error) if is_missing_program(&error) => {
            let elsewhere = OFF_PATH
                .into_iter()
                .find(|folder| Utf8Path::new(folder).join("nix-store").is_file());
            return Ok(elsewhere.map_or(NixState::Missing, NixState::OffPath));
        }
        other => other?,
    };
    if !captured.status.success() {
        let error = nix_error(&captured);
        // Nix 2.8 opens the socket before it prints its version.
        let remedy = if error.contains("socket") {
            closed(processes)?
        } else {
            None
        };
        let remedy = remedy.unwrap_or_else(|| nix_remedy(&error).to_owned());
        return Ok(NixState::Broken { error, remedy });
    }
    let said = captured.stdout.trim();
    if let Ok(version) = said.parse() {
        return Ok(NixState::Runs(version));
    }
    let error = format!("no version in `{}`", log::plain(said));
    let remedy = nix_remedy(&error).to_owned();
    Ok(NixState::Broken { error, remedy })
}

/// What to do about a Nix that does not run.
pub fn nix_remedy(error: &str) -> &'static str {
    if error.contains("home directory") {
        "set `HOME` to a folder of yours"
    } else if error.contains("'NIX_CONFIG'") {
        "fix or unset the variable `NIX_CONFIG`"
    } else if error.contains("configuration") {
        "fix the setting that Nix names: it is in /etc/nix/nix.conf, ~/.config/nix/nix.conf or the \
         variable `NIX_CONFIG`"
    } else {
        "run `nix-store --version` and fix what it reports"
    }
}

/// The package set that `test-build` would use.
fn package_set(
    processes: &Processes,
    repo: &Repo,
    version: &NixVersion,
    store: &StoreState,
) -> Result<Choice> {
    let resolve = |container| sources::resolve(repo, container, &SourceOverride::default());
    let containers = repo.containers()?;
    let sources: Vec<Sources> = containers.iter().map(resolve).collect::<Result<_>>()?;
    let nixpkgs: Vec<Option<&Nixpkgs>> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
    let reachable = !matches!(store.probe, SandboxProbe::NotRun | SandboxProbe::NoStore(_));
    package_set::choose(
        None,
        version,
        &nixpkgs,
        |nixpkgs| {
            Ok(reachable && package_set::is_in_store(&Nix::new(processes, Vec::new()), nixpkgs)?)
        },
        |nixpkgs| package_set::probe::probe_anew(processes.into(), repo, nixpkgs),
    )
}

/// The disk that a folder is on or would be on.
pub fn disk(folder: &Utf8Path) -> Result<Disk> {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    let there = there.unwrap_or(Utf8Path::new("/"));
    let disk = rustix::fs::statvfs(there.as_std_path())
        .with_context(|| format!("asking for the free space in `{there}`"))?;
    Ok(Disk {
        store: folder.to_owned(),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
    })
}

/// Whether a tool is in /usr/bin and its real file is below /usr, which is all that builders see.
fn is_in_usr(tool: &str) -> bool {
    let folder = if tool.contains('/') {
        "/usr"
    } else {
        "/usr/bin"
    };
    let path = Utf8Path::new(folder).join(tool);
    path.canonicalize_utf8()
        .is_ok_and(|real| real.starts_with("/usr") && real.is_file())
}

/// The folder of the highest version of PostgreSQL's server programs.
pub fn postgresql(versions: &Utf8Path) -> Option<Utf8PathBuf> {
    let entries = versions.read_dir_utf8().ok()?;
    let found = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let numbers = entry.file_name().split('.').map(str::parse);
        let version: Vec<u32> = numbers.collect::<Result<_, _>>().ok()?;
        let folder = entry.path().join("bin");
        let is_complete = ["initdb", "postgres"].map(|it| folder.join(it).is_file());
        (is_complete == [true, true]).then_some((version, folder))
    });
    Some(found.max()?.1)
}

/// The version of the pip that host-pkgs calls; starting pip itself would take long.
fn pip(processes: &Processes) -> Result<Option<String>> {
    let ask = ["-c", "import pip; print(pip.__version__)"];
    match processes.capture(processes.cmd("/usr/bin/python3").args(ask)) {
        Ok(captured) if captured.status.success() => Ok(Some(captured.stdout.trim().to_owned())),
        Ok(_) => Ok(None),
        Err(error) if is_missing_program(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file with the CA certificates that this machine trusts.
fn certificates() -> Option<Utf8PathBuf> {
    let named = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|path| !path.is_empty());
    let file = named.map_or_else(|| platform::CERTIFICATES.into(), Utf8PathBuf::from);
    file.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use sys::files;

    use super::*;

    #[test]
    fn the_highest_postgresql_that_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let add = |version: &str, programs: &[&str]| {
            let bin = folder.join(version).join("bin");
            fs_err::create_dir_all(&bin).unwrap();
            for program in programs {
                files::write_atomically(&bin.join(program), b"x", 0o755).unwrap();
            }
        };
        let found = || postgresql(folder).map(|bin| bin.strip_prefix(folder).unwrap().to_string());
        assert_eq!(postgresql(&folder.join("none")), None);
        assert_eq!(found(), None);
        // Only client programs, an incomplete version, a folder that is no version.
        add("17", &["psql"]);
        add("18", &["initdb"]);
        add("lib", &["initdb", "postgres"]);
        assert_eq!(found(), None);
        for (version, highest) in [("9.6", "9.6"), ("15", "15"), ("9.10", "15"), ("16", "16")] {
            add(version, &["initdb", "postgres"]);
            assert_eq!(found(), Some(format!("{highest}/bin")));
        }
    }

    #[test]
    fn the_disk_of_a_folder_that_does_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let below = disk(&folder.join("not/there")).unwrap();
        assert_eq!(below.store, folder.join("not/there"));
        assert!(below.free > 0);
        // Nothing can be written there; macOS has no such place.
        if platform::IS_LINUX {
            assert_eq!(disk("/proc/self/none".into()).unwrap().free, 0);
        }
    }
}
