//! Moving the pinned nixpkgs, of all containers and of flake.lock at once.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::machine::sandbox_probe::sandbox_problem;
use crate::nix::{Nix, PackageSet};
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::pins::{self, Edit, Nixpkgs};
use crate::repo::Repo;
use crate::update::conclude::{self, Ending};
use crate::update::hashes::{self, Done, Elsewhere, End, Work};
use crate::update::journal::{Journal, Lock};
use crate::update::plan::{self, Plan};
use crate::update::together::{self, Changed};
use crate::update::{git, report};
use nix_formats::nar;
use nix_formats::sri::Sri;
use sys::inside::{self, LONGEST_TEXT};
use sys::process::Processes;
use sys::terminal;

/// What it is called on the command line.
pub const NAME: &str = "nixpkgs";

/// What was asked for.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Asked<'a> {
    /// A revision; the newest of the branch without it.
    pub to: Option<&'a str>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether an earlier run is gone on with.
    pub resume: bool,
    /// Whether components are built and tested.
    pub build: bool,
    /// The package set to build over.
    pub pkgs: Option<PackageSet>,
    /// Where hashes are found that are not found here.
    pub elsewhere: &'a [Elsewhere],
    /// Whether rows are printed as JSON lines.
    pub json: bool,
    /// Whether it is committed.
    pub commit: bool,
    /// A file for a report.
    pub report: Option<&'a Utf8Path>,
    /// Whether command lines and all of Nix's messages are shown.
    pub verbose: bool,
    /// When the run began.
    pub start: Instant,
}

/// What follows: containers and flake.lock.
struct Pinned {
    containers: Vec<Sources>,
    flake: Option<Flake>,
}

/// What flake.lock says of nixpkgs.
struct Flake {
    path: Utf8PathBuf,
    /// The branch.
    branch: Option<String>,
    rev: String,
    hash: String,
}

/// Moves it.
pub fn run(asked: &Asked<'_>, repo: &Repo, processes: &Processes) -> Result<ExitCode> {
    let folder = repo.state().join("update").join(NAME);
    let lock = (!asked.dry_run).then(|| Lock::take(&folder, NAME));
    let lock = lock.transpose()?;
    if lock.is_some() {
        together::put_back(repo, &folder)?;
    }
    let pinned = pinned(repo)?;
    let one = of(&pinned.containers[0])?;
    let to = target(asked, processes, &pinned, one, &folder)?;
    let is_at = |sources: &Sources| of(sources).is_ok_and(|it| it.rev == to);
    let is_current = pinned.containers.iter().all(is_at);
    if is_current && pinned.flake.as_ref().is_none_or(|flake| flake.rev == to) {
        terminal::say(format!("nixpkgs is at revision {to} already"));
        return Ok(ExitCode::SUCCESS);
    }
    let title = format!("{NAME}: {} -> {}", short(&one.rev), short(&to));
    terminal::say(format!(
        "{title}, from {}",
        one.url.replace("{rev}", "REVISION")
    ));
    let hash = hash(processes, &one.url, &one.rev, &to)?;
    let files = files_of(&pinned);
    if asked.commit {
        conclude::refuse_to_commit(repo, processes, &files)?;
    }
    let mut containers = Vec::new();
    for sources in &pinned.containers {
        let nixpkgs = of(sources)?;
        let work = Work {
            repo,
            processes,
            sources,
            before: (repo, sources),
            moves: moves(nixpkgs, &to, &hash),
            tree: None,
            main: "",
            only: &[],
            pkgs: asked.pkgs,
            build: asked.build,
            verbose: asked.verbose,
            folder: &folder.join(&sources.container.name),
            diagnose: sandbox_problem,
        };
        if asked.dry_run {
            let (plan, found) = hashes::preview(&work)?;
            let rows = report::rows(&sources.container.name, &plan, &found);
            if asked.json {
                rows.iter().try_for_each(terminal::emit_json)?;
            } else {
                terminal::emit(report::pins(&rows).trim_end())?;
            }
            continue;
        }
        match find(asked, repo, &work, &to)? {
            Ok(done) => containers.push((sources.container.name.clone(), done)),
            Err(code) => return Ok(code),
        }
    }
    if asked.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let changed = changed(&pinned, &containers, &to, &hash)?;
    together::write(repo, &folder, &changed)?;
    for sources in &pinned.containers {
        Journal::remove(&folder.join(&sources.container.name))?;
    }
    let ending = Ending {
        repo,
        processes,
        title,
        compare: None,
        notes: &[],
        json: asked.json,
        commit: asked.commit,
        report: asked.report,
        built: asked.build,
        start: asked.start,
        files,
    };
    ending.say(containers)
}

/// Finds the hashes of a container that follow; an exit code if that failed.
fn find(
    asked: &Asked<'_>,
    repo: &Repo,
    work: &Work<'_>,
    to: &str,
) -> Result<std::result::Result<Done, ExitCode>> {
    let path = &work.sources.pins_path;
    let before = nar::flat(path.as_std_path())?.to_string();
    let left = Journal::read(work.folder)?.filter(|left| {
        asked.resume && left.to == to && left.pins == *path && left.pins_hash == before
    });
    let mut journal = left.unwrap_or_else(|| Journal {
        pins: path.clone(),
        pins_hash: before.clone(),
        to: to.to_owned(),
        is_kept: true,
        ..Journal::default()
    });
    fs_err::create_dir_all(work.folder)?;
    journal.write(work.folder)?;
    let as_it_was = || {
        terminal::say(format!(
            "{} is as it was; `--resume` goes on with what was found",
            repo.shown(path)
        ));
    };
    let mut done = match hashes::find(work, &mut journal) {
        Ok(End::Found(done)) => done,
        Ok(End::Failed(code)) => {
            as_it_was();
            return Ok(Err(code));
        }
        Err(error) => {
            as_it_was();
            return Err(error);
        }
    };
    sort(&mut done.plan, done.set, &fs_err::read_to_string(path)?)?;
    for elsewhere in asked.elsewhere {
        if let Some(code) = hashes::fill(work, elsewhere, &mut done, &mut journal)? {
            as_it_was();
            return Ok(Err(code));
        }
    }
    ensure!(
        nar::flat(path.as_std_path())?.to_string() == before,
        "{} was changed meanwhile: update again",
        repo.shown(path)
    );
    Ok(Ok(done))
}

/// What a new nixpkgs means for hashes that were not found: those of other package sets stay, and those over nixpkgs
/// go if it was not built over.
fn sort(plan: &mut Plan, set: PackageSet, text: &str) -> Result<()> {
    let is_set = |key: &[String], name: &str| {
        let parts = key.iter().skip(1);
        let own = format!("{name}-");
        parts
            .into_iter()
            .any(|it| it == name || it.starts_with(&own))
    };
    let of_host = plan.go.keys().filter(|key| is_set(key, "host"));
    let of_host: Vec<plan::Key> = of_host.cloned().collect();
    for key in of_host {
        plan.go.remove(&key);
        plan.stay.insert(key);
    }
    if set == PackageSet::Nixpkgs {
        return Ok(());
    }
    for (key, hash) in pins::hashes(text)? {
        let is_found = hash.to_string() != plan::FAKE;
        if is_found && is_set(&key, NAME) && plan.stay.remove(&key) {
            plan.go.insert(key, hash);
        }
    }
    Ok(())
}

/// The containers whose pins name a nixpkgs, and flake.lock.
fn pinned(repo: &Repo) -> Result<Pinned> {
    let mut containers = Vec::new();
    for container in repo.containers()? {
        let sources = sources::resolve(repo, &container, &SourceOverride::default())?;
        if sources.nixpkgs.is_some() {
            containers.push(sources);
        }
    }
    if containers.is_empty() {
        bail!("no pins.json names a nixpkgs");
    }
    Ok(Pinned {
        containers,
        flake: flake(&repo.root.join("flake.lock"))?,
    })
}

fn of(sources: &Sources) -> Result<&Nixpkgs> {
    let nixpkgs = sources.nixpkgs.as_ref();
    nixpkgs.context("the pins name no nixpkgs")
}

/// What a flake.lock says of the input nixpkgs, if there is one.
fn flake(path: &Utf8Path) -> Result<Option<Flake>> {
    if !path.is_file() {
        return Ok(None);
    }
    let value: serde_json::Value = serde_json::from_str(&inside::read_text(path, LONGEST_TEXT)?)
        .with_context(|| format!("reading {path}"))?;
    let Some(node) = value.pointer("/nodes/nixpkgs") else {
        return Ok(None);
    };
    if node.pointer("/locked/lastModified").is_some() {
        bail!(
            "{path} has a `lastModified` of nixpkgs, which would be wrong: take it out, Nix does without"
        );
    }
    let text = |name: &str| node.pointer(name)?.as_str().map(str::to_owned);
    Ok(Some(Flake {
        path: path.to_owned(),
        branch: text("/original/ref"),
        rev: text("/locked/rev").with_context(|| format!("{path} locks no revision of nixpkgs"))?,
        hash: text("/locked/narHash").with_context(|| format!("{path} has no hash of nixpkgs"))?,
    }))
}

/// The revision to move to.
fn target(
    asked: &Asked<'_>,
    processes: &Processes,
    pinned: &Pinned,
    one: &Nixpkgs,
    folder: &Utf8Path,
) -> Result<String> {
    let is_rev = |text: &str| text.len() == 40 && text.bytes().all(|it| it.is_ascii_hexdigit());
    if let Some(to) = asked.to {
        ensure!(
            is_rev(to),
            "`{to}` is no revision of nixpkgs: 40 hexadecimal digits are"
        );
    }
    if asked.resume {
        let names = pinned.containers.iter().map(|it| &it.container.name);
        for name in names {
            if let Some(left) = Journal::read(&folder.join(name))? {
                return left.goes_to(asked.to);
            }
        }
        bail!("there is nothing to resume: no update was ended before its end");
    }
    if let Some(to) = asked.to {
        return Ok(to.to_owned());
    }
    let branch = pinned.flake.as_ref().and_then(|it| it.branch.as_deref());
    let branch = branch.context(
        "which branch of nixpkgs is followed is said by `original.ref` in flake.lock, and nothing is: name a revision \
         by `--to REV`",
    )?;
    let (url, _) = one
        .url
        .split_once("/archive/")
        .filter(|(_, file)| file.contains(&one.rev))
        .with_context(|| {
            format!(
                "{} is not REPOSITORY/archive/REVISION..., so who would be asked for the newest revision is not known: \
                 name one by `--to REV`",
                one.url
            )
        })?;
    git::branch(processes, url, branch)
}

/// The hash of a revision, of what Nix unpacked.
fn hash(processes: &Processes, url: &str, from: &str, to: &str) -> Result<Sri> {
    let _note = terminal::Note::new("fetching nixpkgs");
    let path = Nix::new(processes, Vec::new()).unpacked(&url.replace(from, to))?;
    nar::tree(path.as_std_path())
}

fn moves(nixpkgs: &Nixpkgs, to: &str, hash: &Sri) -> Vec<Edit> {
    let edit = |name: &str, from: String, to: String| Edit {
        key: [NAME, name].map(str::to_owned).to_vec(),
        from,
        to: Some(to),
    };
    let mut moves = vec![
        edit("rev", nixpkgs.rev.clone(), to.to_owned()),
        edit("hash", nixpkgs.hash.to_string(), hash.to_string()),
    ];
    moves.retain(|edit| edit.to.as_ref() != Some(&edit.from));
    moves
}

fn files_of(pinned: &Pinned) -> Vec<Utf8PathBuf> {
    let pins = pinned.containers.iter().map(|it| it.pins_path.clone());
    let flake = pinned.flake.iter().map(|it| it.path.clone());
    pins.chain(flake).collect()
}

/// What becomes of all files.
fn changed(
    pinned: &Pinned,
    containers: &[(String, Done)],
    to: &str,
    hash: &Sri,
) -> Result<Vec<Changed>> {
    let mut files = Vec::new();
    let mut change = |path: &Utf8Path, edits: &[Edit]| -> Result<()> {
        let from = inside::read_text(path, LONGEST_TEXT)?;
        files.push(Changed {
            path: path.to_owned(),
            to: pins::edited(&from, edits)?,
            from,
        });
        Ok(())
    };
    for (sources, (_, done)) in pinned.containers.iter().zip(containers) {
        change(&sources.pins_path, &plan::edits(&done.plan, &done.found))?;
    }
    if let Some(flake) = &pinned.flake {
        let edit = |name: &str, from: &str, to: String| Edit {
            key: ["nodes", NAME, "locked", name].map(str::to_owned).to_vec(),
            from: from.to_owned(),
            to: Some(to),
        };
        let edits = [
            edit("rev", &flake.rev, to.to_owned()),
            edit("narHash", &flake.hash, hash.to_string()),
        ];
        change(&flake.path, &edits)?;
    }
    Ok(files)
}

fn short(rev: &str) -> &str {
    rev.get(..12).unwrap_or(rev)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "sha256-1iFc8xdnNoal0Izr4zDA5d/76Ks7Ok7CEzoKEl8cJIg=";

    #[test]
    fn what_another_nixpkgs_means_for_hashes() {
        let text = format!(
            r#"{{ "venv": {{ "host-debian-12": {{ "x": "{ONE}" }}, "nixpkgs": {{ "x": "{ONE}", "y": "{}" }} }}, "go": {{ "vendorHash": "{ONE}" }} }}"#,
            plan::FAKE
        );
        let key = |text: &str| -> plan::Key { text.split('.').map(str::to_owned).collect() };
        let hashes = pins::hashes(&text).unwrap();
        let shown = |plan: &Plan| {
            let go: Vec<String> = plan.go.keys().map(|it| it.join(".")).collect();
            (go, plan.stay.len())
        };
        // Over host-pkgs nothing over nixpkgs is found.
        let mut plan = Plan::default();
        plan.stay.extend(hashes.iter().map(|it| it.0.clone()));
        sort(&mut plan, PackageSet::Host, &text).unwrap();
        assert_eq!(shown(&plan), (vec!["venv.nixpkgs.x".to_owned()], 3));
        // Over nixpkgs what is of host-pkgs stays, though the hash beside it follows.
        let mut plan = Plan::default();
        for name in ["venv.host-debian-12.x", "venv.nixpkgs.aarch64-linux"] {
            plan.go.insert(key(name), ONE.parse().unwrap());
        }
        sort(&mut plan, PackageSet::Nixpkgs, &text).unwrap();
        assert_eq!(
            shown(&plan),
            (vec!["venv.nixpkgs.aarch64-linux".to_owned()], 1)
        );
    }
}
