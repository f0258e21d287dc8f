//! `test-build --on HOST`: what differs when another machine builds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::Cmd;

use crate::nix::{self, Nix};
use crate::package_set::{self, Choice, HOST_PKGS_SYSTEM, NIX_FLOOR, PackageSet};
use crate::pins::sources::Sources;
use crate::remote::upload::{self, Parcel};
use crate::remote::{self, Forward, Machine, Remote};
use crate::repo::Repo;
use nix_formats::store_path;
use nix_formats::version::NixVersion;
use sys::files;
use sys::process::{Interrupted, Processes};
use sys::terminal;

/// How long a program may take to end once all its input is there: it may have much to write.
const WRITING: Duration = Duration::from_secs(3600);
/// Removes the links below `$1` and prints their names.
const DROP_LINKS: &str = r#"cd -- "$1" 2>/dev/null || exit 0
for link in */* */*/*; do [ ! -L "$link" ] || echo "$link"; done
cd / && rm -rf -- "$1""#;

/// A connection, and what is known of the machine at its end.
pub struct Host<'a> {
    /// The connection.
    pub remote: Remote<'a>,
    version: NixVersion,
}

impl<'a> Host<'a> {
    /// Connects, and makes sure that the machine can build; with `fetch` more than logs will come back.
    pub fn connect(
        processes: &'a Processes,
        name: &str,
        sources: &[Sources],
        fetch: bool,
        forward: Option<Forward>,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        // NIX_STORE_DIR of this machine is not that of the other.
        let store = Utf8Path::new("/nix/store");
        let mut nixpkgs = sources.iter().map(|it| it.nixpkgs.as_ref());
        let nixpkgs = nixpkgs.next().flatten();
        let nixpkgs = nixpkgs.and_then(|nixpkgs| package_set::path_in_store(store, nixpkgs));
        let remote = Remote::connect(processes, name, nixpkgs.as_deref(), fetch, forward)?;
        meanwhile()?;
        let note = terminal::Note::new(&format!("connecting to {name}"));
        let greeting = remote.greet()?;
        drop(note);
        let version = greeting.nix_version(name)?;
        let (major, minor) = NIX_FLOOR;
        if !version.is_at_least(major, minor) {
            bail!(
                "`{name}` has Nix {version}: {major}.{minor} or later is needed, install a newer one there"
            );
        }
        Ok(Self { remote, version })
    }

    /// Chooses the package set that the machine builds over, and makes sure that it has one for it.
    pub fn choose(
        &self,
        asked: Option<PackageSet>,
        repo: &Repo,
        sources: &[Sources],
    ) -> Result<Choice> {
        let greeting = self.remote.greeting();
        let name = self.remote.host();
        let nixpkgs: Vec<_> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
        let choice = package_set::choose(
            asked,
            &self.version,
            &nixpkgs,
            |_| Ok(greeting.get("has_nixpkgs").is_some()),
            |nixpkgs| package_set::probe(Machine::There(&self.remote), repo, nixpkgs),
        )
        .with_context(|| format!("on `{name}`"))?;
        let system = greeting.system();
        // The hashes of what is fetched for a platform are pinned for this one alone.
        if system != HOST_PKGS_SYSTEM {
            bail!(
                "`{name}` is a machine of {system}, and components can be built on {HOST_PKGS_SYSTEM} only"
            );
        }
        Ok(choice)
    }

    /// Sends what the build needs.
    pub fn deliver(&self, parcels: &[(Parcel, Vec<u8>)], set: PackageSet) -> Result<()> {
        for (parcel, packed) in parcels {
            self.remote.deliver(parcel, packed)?;
        }
        if set == PackageSet::Host {
            self.remote.use_host_pkgs()?;
        }
        Ok(())
    }

    /// Nix over there.
    pub fn nix(&self) -> Nix<'_> {
        Nix::new(&self.remote, Vec::new())
    }
}

/// What the build needs, packed.
pub fn pack(
    processes: &Processes,
    repo: &Repo,
    sources: &[Sources],
) -> Result<Vec<(Parcel, Vec<u8>)>> {
    let parcels = upload::parcels(repo, sources)?.into_iter();
    parcels
        .map(|parcel| {
            let packed = parcel.pack(processes)?;
            Ok((parcel, packed))
        })
        .collect()
}

/// The folder over there for links to results: those of this user and machine and this repository.
pub fn results(remote: &Remote<'_>, repo: &Repo) -> Utf8PathBuf {
    let greeting = remote.greeting();
    let state = greeting.get("XDG_STATE_HOME").map(Utf8PathBuf::from);
    let home = greeting.get("HOME").unwrap_or("/");
    let state = state.unwrap_or_else(|| Utf8Path::new(home).join(".local/state"));
    state.join("xtask/gcroots").join(remote::owner(repo))
}

/// Drops the links to results over there; Nix's garbage collector may take what they led to.
pub fn drop_results(host: &Host<'_>, repo: &Repo) -> Result<()> {
    let folder = results(&host.remote, repo);
    let machine = Machine::There(&host.remote);
    let command = machine
        .cmd("sh")
        .args(["-c", DROP_LINKS, "sh", folder.as_str()]);
    let captured = machine.capture(command)?;
    if !captured.status.success() {
        bail!(
            "`{}` failed:\n{}",
            captured.command,
            captured.stderr.trim_end()
        );
    }
    let links = captured.stdout.lines();
    say_dropped(links.map(|link| format!("{}:{folder}/{link}", host.remote.host())));
    Ok(())
}

/// Says which links are no more.
pub fn say_dropped(links: impl Iterator<Item = String>) {
    let mut count = 0;
    for link in links {
        terminal::say(format!("dropped {link}"));
        count += 1;
    }
    terminal::say(match count {
        0 => "there were no links to results".to_owned(),
        _ => format!("{count} results are free for Nix's garbage collector, `nix-collect-garbage`"),
    });
}

/// Fetches results: their closures into the store of this machine, or, where there is no Nix, what they
/// hold themselves to the places below `folder` that `wanted` says.
pub fn fetch(
    host: &Host<'_>,
    processes: &Processes,
    wanted: &BTreeMap<Utf8PathBuf, &str>,
    folder: &Utf8Path,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    files::check_writable(folder)?;
    let has_nix = match nix::version(processes) {
        Ok(_) => true,
        Err(error) if sys::process::is_missing_program(&error) => false,
        Err(error) => return Err(error),
    };
    if has_nix {
        fetch_closures(host, processes, wanted)?;
        let links: Vec<(Utf8PathBuf, String)> = wanted
            .iter()
            .map(|(link, out)| (link.clone(), (*out).to_owned()))
            .collect();
        for (link, _) in &links {
            remove(processes, link)?;
        }
        Nix::new(processes, Vec::new()).link(&links)?;
    } else {
        fetch_outputs(host, processes, wanted, folder)?;
    }
    for place in wanted.keys() {
        terminal::say(format!("fetched {place}"));
    }
    if !has_nix {
        terminal::say("without the store paths that they refer to, for there is no Nix here");
    }
    Ok(())
}

fn fetch_closures(
    host: &Host<'_>,
    processes: &Processes,
    wanted: &BTreeMap<Utf8PathBuf, &str>,
) -> Result<()> {
    let outs = wanted.values().map(|out| (*out).to_owned()).collect();
    let closures = host.nix().requisites(&outs)?;
    let paths: BTreeSet<String> = closures.into_values().flatten().collect();
    let here = Nix::new(processes, Vec::new()).valid(&paths)?;
    let missing: BTreeSet<&String> = paths.difference(&here).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let there = Machine::There(&host.remote);
    let export = there.cmd("nix-store").arg("--export").args(missing);
    // It names each path that it takes.
    let import = processes
        .cmd("sh")
        .args(["-c", "exec nix-store --import >/dev/null"]);
    pour(&host.remote, export, processes, import)
}

fn fetch_outputs(
    host: &Host<'_>,
    processes: &Processes,
    wanted: &BTreeMap<Utf8PathBuf, &str>,
    folder: &Utf8Path,
) -> Result<()> {
    let fetching = folder.join(format!(".fetching.{}", std::process::id()));
    fs_err::create_dir_all(&fetching)?;
    let base = |out: &str| out.rsplit('/').next().unwrap_or(out).to_owned();
    let store = wanted
        .values()
        .next()
        .and_then(|out| Utf8Path::new(out).parent());
    let store = store.context("a store path lies in a store")?;
    let there = Machine::There(&host.remote);
    let tar = there
        .cmd("tar")
        .args(["-C", store.as_str(), "-cf", "-", "--"])
        .args(wanted.values().map(|out| base(out)));
    let untar = processes
        .cmd("tar")
        .args(["-xf", "-", "-C", fetching.as_str()]);
    let fetched = pour(&host.remote, tar, processes, untar).and_then(|()| {
        for (to, out) in wanted {
            remove(processes, to)?;
            fs_err::create_dir_all(to.parent().unwrap_or(folder))?;
            let from = fetching.join(base(out));
            // Folders of the store can't be written to, and so not be removed either.
            if from.is_dir() && !from.is_symlink() {
                run(
                    processes,
                    processes.cmd("chmod").args(["-R", "u+w", from.as_str()]),
                )?;
            }
            fs_err::rename(from, to)?;
        }
        Ok(())
    });
    remove(processes, &fetching)?;
    fetched
}

/// Removes what an earlier fetch left, whatever it is.
fn remove(processes: &Processes, path: &Utf8Path) -> Result<()> {
    if path.is_dir() && !path.is_symlink() {
        run(
            processes,
            processes.cmd("chmod").args(["-R", "u+w", path.as_str()]),
        )?;
    }
    run(
        processes,
        processes.cmd("rm").args(["-rf", "--", path.as_str()]),
    )
}

fn run(processes: &Processes, command: Cmd<'_>) -> Result<()> {
    let captured = processes.capture(command)?;
    if !captured.status.success() {
        bail!(
            "`{}` failed:\n{}",
            captured.command,
            captured.stderr.trim_end()
        );
    }
    Ok(())
}

/// Runs a command over there and gives what it writes to one here, which ends the session.
fn pour(remote: &Remote<'_>, there: Cmd<'_>, processes: &Processes, here: Cmd<'_>) -> Result<()> {
    let text = here.to_string();
    let mut sink = processes.converse(here)?;
    let (mut stdin, _stdout, mut stderr) = sink.streams().context("talking to a process")?;
    let poured = remote.raw(there, |bytes| Ok(stdin.write_all(bytes)?));
    if poured.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
        return poured;
    }
    drop(stdin);
    let mut said = String::new();
    stderr.read_to_string(&mut said)?;
    let status = sink.wait(WRITING);
    if !status.is_some_and(|status| status.success()) {
        bail!("`{text}` failed here:\n{}", said.trim_end());
    }
    poured
}

/// Whether the last look found that Nix has no folder for this build any more; it makes one before it
/// says that the build begins.
pub fn folder_is_gone(remote: &Remote<'_>, drv: &str) -> bool {
    remote.had_no_folder(drv, &store_path::build_folder(drv))
}
