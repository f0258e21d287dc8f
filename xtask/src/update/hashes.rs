//! The hashes that follow a new version, from Nix: all fixed outputs in as few rounds as they depend on each
//! other, and then, as the proof, all components with their tests.
//!
//! It all happens on a copy of the pins, which goes with the run: fake hashes are in no file that stays.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::conclude;
use crate::build::evaluate;
use crate::build::execute::{self, Progress};
use crate::build::history::History;
use crate::build::model::Target;
use crate::build::options::{Options, SourceArgs};
use crate::build::plan as components;
use crate::build::session::{self, Diagnose};
use crate::build::site::Site;
use crate::nix::PackageSet;
use crate::package_set;
use crate::pins::mismatch::PinMismatch;
use crate::pins::sources::Sources;
use crate::pins::{self, Change, Edit};
use crate::repo::Repo;
use crate::update::journal::Journal;
use crate::update::plan::{self, Key, Plan};
use crate::update::tree::Tree;
use nix_formats::sri::Sri;
use sys::files;
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;

/// What is wanted.
pub struct Work<'a> {
    /// This repository.
    pub repo: &'a Repo,
    /// What starts processes here.
    pub processes: &'a Processes,
    /// The pins to be changed.
    pub sources: &'a Sources,
    /// The repository and the pins as they are now: the same, unless expressions change as well.
    pub before: (&'a Repo, &'a Sources),
    /// The version that is moved to, if it is moved.
    pub to: Option<&'a str>,
    /// Its tree, where it has one.
    pub tree: Option<&'a Tree>,
    /// The source whose tree that is.
    pub main: &'a str,
    /// Pins to be made anew in any case: beginnings of names.
    pub only: &'a [String],
    /// The package set to build over.
    pub pkgs: Option<PackageSet>,
    /// Whether components and tests are built.
    pub build: bool,
    /// Whether command lines and all of Nix's messages are shown.
    pub verbose: bool,
    /// Where the journal is.
    pub folder: &'a Utf8Path,
    /// Why builds on this machine can't work, if so.
    pub diagnose: Diagnose,
}

/// What came of it.
pub enum End {
    /// All was found and, if wanted, proven.
    Found(Done),
    /// A build failed, which has been said, or a signal came.
    Failed(ExitCode),
}

/// What was found.
pub struct Done {
    /// What follows, stays and goes.
    pub plan: Plan,
    /// The new hashes.
    pub found: BTreeMap<Key, Sri>,
    /// How often Nix was asked to build.
    pub rounds: usize,
    /// How long all of it took.
    pub elapsed: Duration,
}

/// Finds the hashes; `journal` has those that an earlier run found, and gets what this one finds.
pub fn find(work: &Work<'_>, journal: &mut Journal) -> Result<End> {
    let start = Instant::now();
    with_copy(work, |site, text, copy| {
        let plan = plan_on(work, site, text)?;
        let mut known = match work.tree {
            Some(tree) => plan::native(&work.sources.pins, work.main, tree, &plan)?,
            None => BTreeMap::new(),
        };
        for (key, hash) in &journal.hashes {
            let key: Key = key.split('/').map(str::to_owned).collect();
            if plan.follow.contains_key(&key) {
                known.insert(
                    key,
                    hash.parse().map_err(|error| {
                        anyhow::anyhow!("the journal has the malformed hash {error}")
                    })?,
                );
            }
        }
        files::write_atomically(copy, plan::text(text, &plan, &known)?.as_bytes(), 0o644)?;
        refresh(site)?;
        let mut rounds = Rounds {
            work,
            site,
            plan: &plan,
            copy,
            history: History::read(work.repo.state().join("history.json"), "update"),
            progress: Progress::new(),
            count: 0,
        };
        if let Some(code) = rounds.run(journal)? {
            return Ok(End::Failed(code));
        }
        let count = rounds.count;
        let found = plan::found(&fs_err::read_to_string(copy)?, &plan)?;
        Ok(End::Found(Done {
            plan,
            found,
            rounds: count,
            elapsed: start.elapsed(),
        }))
    })
}

/// Makes a copy of the pins with the new versions, and goes where it is built.
fn with_copy<T>(
    work: &Work<'_>,
    then: impl FnOnce(&mut Site<'_>, &str, &Utf8Path) -> Result<T>,
) -> Result<T> {
    let scratch = Scratch::new()?;
    let pins = &work.sources.pins;
    let copy = plan::copy(pins, &work.sources.pins_path, scratch.path())?;
    let text = fs_err::read_to_string(&work.sources.pins_path)?;
    let moves = moves(work)?;
    files::write_atomically(&copy, pins::edited(&text, &moves)?.as_bytes(), 0o644)?;
    let options = Options {
        from: SourceArgs {
            pins: Some(copy.clone()),
            pkgs: work.pkgs,
            on: Some("local".to_owned()),
            ..SourceArgs::default()
        },
        components: vec![format!("{}/", work.sources.container.name)],
        keep_going: true,
        write_pins: true,
        verbose: work.verbose,
        no_tests: !work.build,
        ..Options::default()
    };
    session::on_site(&options, work.repo, work.processes, false, |mut site| {
        then(&mut site, &text, &copy)
    })
}

fn moves(work: &Work<'_>) -> Result<Vec<Edit>> {
    match work.to {
        Some(to) => plan::moves(&work.sources.pins, to, work.tree),
        None => Ok(Vec::new()),
    }
}

fn plan_on(work: &Work<'_>, site: &Site<'_>, text: &str) -> Result<Plan> {
    let _note = terminal::Note::new("evaluating which pins follow");
    let (repo, sources) = work.before;
    let of_release = package_set::inputs(repo, site.choice.set, sources);
    let before = site.nix.pinned([&of_release], repo)?;
    let before = plan::derivations(before, &sources.pins_path);
    let after = site.nix.pinned(&site.inputs, work.repo)?;
    let copy = &site
        .sources
        .first()
        .context("the container has no pins")?
        .pins_path;
    let after = plan::derivations(after, copy);
    let unknown = work
        .only
        .iter()
        .find(|only| !after.keys().any(|key| is_named(key, only)));
    if let Some(unknown) = unknown {
        let all: Vec<String> = after.keys().map(|key| key.join(".")).collect();
        bail!(
            "no pin that can be built here is `{unknown}`: there are {}",
            all.join(", ")
        );
    }
    let named = |key: &Key| work.only.iter().any(|only| is_named(key, only));
    let mut plan = plan::sort(text, &before, &after, &named)?;
    if !work.only.is_empty() {
        // What depends on them is another derivation once their hashes are.
        let anew = plan::text(text, &plan, &BTreeMap::new())?;
        files::write_atomically(copy, anew.as_bytes(), 0o644)?;
        let after = site.nix.pinned(&site.inputs, work.repo)?;
        plan = plan::sort(text, &before, &plan::derivations(after, copy), &named)?;
    }
    plan.moves = moves(work)?;
    Ok(plan)
}

/// Whether a name means a pin: its key, the beginning of it, or the name of a source.
fn is_named(key: &Key, name: &str) -> bool {
    let shown = key.join(".");
    [name.to_owned(), format!("sources.{name}")]
        .iter()
        .any(|it| shown == *it || shown.starts_with(&format!("{it}.")))
}

/// Reads the pins again, after they were changed.
fn refresh(site: &mut Site<'_>) -> Result<()> {
    let asked = site.options.from.asked();
    site.sources = site.selection.sources(site.repo, &asked)?;
    Ok(())
}

/// Builds that go on until no hash is wrong.
struct Rounds<'w, 's, 'a> {
    work: &'w Work<'w>,
    site: &'s mut Site<'a>,
    plan: &'w Plan,
    copy: &'w Utf8Path,
    history: History,
    progress: Progress,
    count: usize,
}

impl Rounds<'_, '_, '_> {
    /// Builds; an exit code if that failed, after it was said why.
    fn run(&mut self, journal: &mut Journal) -> Result<Option<ExitCode>> {
        loop {
            let described = match evaluate::describe(self.site, true, self.count == 0) {
                Ok(described) => described,
                Err(error) => {
                    let stale = evaluate::mismatches(self.site, &error)?;
                    if stale.is_empty() || !self.accept(&stale, journal)? {
                        return Err(error);
                    }
                    continue;
                }
            };
            let mut targets = self.fixed_outputs()?;
            if self.work.build {
                let repo = self.work.repo;
                targets.extend(components::targets(&described, |at| {
                    components::file_of(repo, at)
                }));
            }
            self.count += 1;
            let outcome = execute::build(self.site, &self.history, &targets, &mut self.progress)?;
            if self.accept(&outcome.stale, journal)? {
                continue;
            }
            let code = conclude::finish(
                self.site,
                &mut self.history,
                &self.progress,
                outcome,
                self.work.diagnose,
            )?;
            return Ok((code != ExitCode::SUCCESS).then_some(code));
        }
    }

    /// The derivations of the pins that follow.
    fn fixed_outputs(&self) -> Result<Vec<Target>> {
        let pinned = self
            .site
            .nix
            .pinned_to_build(&self.site.inputs, self.work.repo)?;
        let name = &self.work.sources.container.name;
        let follows =
            |file: &Utf8PathBuf, key: &Key| file == self.copy && self.plan.follow.contains_key(key);
        let targets = pinned
            .into_iter()
            .filter(|pin| follows(&pin.file, &pin.key));
        let targets = targets.map(|pin| Target {
            container: name.clone(),
            component: pin.key.join("."),
            label: pin.key.join("."),
            drv: pin.drv,
            out: pin.out,
            file: None,
        });
        Ok(targets.collect())
    }

    /// Takes the hashes that were found, if they may change and did not change before.
    fn accept(&mut self, stale: &[PinMismatch], journal: &mut Journal) -> Result<bool> {
        if stale.is_empty() || !self.progress.are_new(stale) {
            return Ok(false);
        }
        let may = |it: &&PinMismatch| {
            it.file == self.copy && self.plan.follow.contains_key(&it.change.key)
        };
        if let Some(other) = stale.iter().find(|it| !may(it)) {
            bail!(
                "`{}` in {} is {} and what it pins is {}, although nothing that it is made of changed: a tag \
                 moved, or its place gives something else now; look into that first",
                other.change.shown(),
                self.work.repo.shown(&other.file),
                other.change.from,
                other.change.to
            );
        }
        let changes: Vec<Change> = stale.iter().map(|it| it.change.clone()).collect();
        pins::write(self.copy, &self.work.repo.lock(), &changes)?;
        for change in &changes {
            terminal::say(format!("found `{}`: {}", change.shown(), change.to));
            journal
                .hashes
                .insert(change.key.join("/"), change.to.to_string());
        }
        journal.write(self.work.folder)?;
        self.progress.changed.extend_from_slice(stale);
        refresh(self.site)?;
        Ok(true)
    }
}
