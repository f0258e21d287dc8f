//! The hashes that follow a new version, from Nix: all fixed outputs, each as soon as the hashes of what it needs are
//! known, and so, as the proof, all components with their tests.
//!
//! It all happens on a copy of the pins, which goes with the run: fake hashes are in no file that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;

use crate::build::conclude;
use crate::build::evaluate;
use crate::build::execute::{self, Progress};
use crate::build::history::History;
use crate::build::model::Target;
use crate::build::on_host;
use crate::build::options::{Options, SourceArgs};
use crate::build::plan as components;
use crate::build::session::{self, Diagnose};
use crate::build::site::Site;
use crate::nix::{self, PackageSet, Pinned};
use crate::package_set;
use crate::pins::mismatch::{self, PinMismatch};
use crate::pins::sources::Sources;
use crate::pins::{self, Change, Edit};
use crate::remote::Remote;
use crate::repo::Repo;
use crate::update::journal::{Journal, Proven};
use crate::update::plan::{self, Key, Plan};
use crate::update::times::Steps;
use crate::update::tree::Tree;
use nix_formats::log::Failure;
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
    /// What is changed before any hash is known: versions and revisions.
    pub moves: Vec<Edit>,
    /// The tree that is moved to, where there is one.
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

/// Where hashes are found that this machine has none of.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// Another machine.
    pub on: Option<String>,
    /// The system, if it is not the machine's own.
    pub system: Option<String>,
    /// Nix's `builders`, for builds that start here.
    pub builders: Option<String>,
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
    /// The package set that was built over.
    pub set: PackageSet,
    /// How often builds began because of hashes that became known, the beginning included.
    pub rounds: usize,
    /// What was built.
    pub steps: Steps,
}

/// Finds the hashes; `journal` has those that an earlier run found, and gets what this one finds.
pub fn find(work: &Work<'_>, journal: &mut Journal) -> Result<End> {
    with_copy(work, &Elsewhere::default(), |site, text, copy| {
        let plan = plan_on(work, site, text)?;
        let known = known(work, &plan)?;
        files::write_atomically(copy, plan::text(text, &plan, &known)?.as_bytes(), 0o644)?;
        refresh(site)?;
        let mut rounds = Rounds::new(work, &plan, copy, work.build);
        if let Some(code) = rounds.run(site, journal)? {
            return Ok(End::Failed(code));
        }
        let (count, steps) = (rounds.count, rounds.steps);
        let found = plan::found(&fs_err::read_to_string(copy)?, &plan)?;
        Ok(End::Found(Done {
            plan,
            found,
            set: site.choice.set,
            rounds: count,
            steps,
        }))
    })
}

/// Finds hashes that are found elsewhere only, with those that are known now, and adds them to these.
///
/// An exit code if the whole run is to end, because of a signal. A build that fails leaves what it would have found
/// among what goes.
pub fn fill(
    work: &Work<'_>,
    elsewhere: &Elsewhere,
    done: &mut Done,
    journal: &mut Journal,
) -> Result<Option<ExitCode>> {
    let (follow, outcome) = with_copy(work, elsewhere, |site, text, copy| {
        let found = pins::edited(text, &plan::changes(&done.plan, &done.found))?;
        files::write_atomically(copy, found.as_bytes(), 0o644)?;
        refresh(site)?;
        let there = site.nix.pinned(&site.inputs, work.repo)?;
        let plan = plan::elsewhere(&found, &done.plan, &plan::derivations(there, copy))?;
        if plan.follow.is_empty() {
            return Ok((plan.follow, Ok(BTreeMap::new())));
        }
        let to_build = plan::text(&found, &plan, &BTreeMap::new())?;
        files::write_atomically(copy, to_build.as_bytes(), 0o644)?;
        refresh(site)?;
        let mut rounds = Rounds::new(work, &plan, copy, false);
        let failed = rounds.run(site, journal)?;
        done.rounds += rounds.count;
        done.steps.extend(rounds.steps);
        let found = match failed {
            Some(code) => Err(code),
            None => Ok(plan::found(&fs_err::read_to_string(copy)?, &plan)?),
        };
        Ok((plan.follow, found))
    })?;
    let found = match outcome {
        Ok(found) => found,
        Err(code) if code == ExitCode::from(1) => return Ok(None),
        Err(code) => return Ok(Some(code)),
    };
    if found.is_empty() {
        terminal::say("nothing is pinned for there that is not found here");
    }
    for (key, old) in follow {
        done.plan.go.remove(&key);
        done.plan.follow.insert(key, old);
    }
    done.found.extend(found);
    Ok(None)
}

/// What would become of the pins, and the new hashes that need no build.
pub fn preview(work: &Work<'_>) -> Result<(Plan, BTreeMap<Key, Sri>)> {
    with_copy(work, &Elsewhere::default(), |site, text, _| {
        let plan = plan_on(work, site, text)?;
        let known = known(work, &plan)?;
        Ok((plan, known))
    })
}

/// Hashes that need no build.
fn known(work: &Work<'_>, plan: &Plan) -> Result<BTreeMap<Key, Sri>> {
    match work.tree {
        Some(tree) => plan::native(&work.sources.pins, work.main, tree, plan),
        None => Ok(BTreeMap::new()),
    }
}

/// Makes a copy of the pins with the new versions, and goes where it is built.
fn with_copy<T>(
    work: &Work<'_>,
    elsewhere: &Elsewhere,
    then: impl FnOnce(&mut Site<'_>, &str, &Utf8Path) -> Result<T>,
) -> Result<T> {
    let scratch = Scratch::new()?;
    let pins = &work.sources.pins;
    let copy = plan::copy(pins, &work.sources.pins_path, scratch.path())?;
    let text = fs_err::read_to_string(&work.sources.pins_path)?;
    files::write_atomically(&copy, pins::edited(&text, &work.moves)?.as_bytes(), 0o644)?;
    let options = Options {
        from: SourceArgs {
            pins: Some(copy.clone()),
            source: work.sources.tree.clone(),
            pkgs: work.pkgs,
            on: Some(elsewhere.on.as_deref().unwrap_or("local").to_owned()),
            ..SourceArgs::default()
        },
        settings: elsewhere
            .builders
            .iter()
            .map(|builders| ("builders".to_owned(), builders.clone()))
            .collect(),
        components: vec![format!("{}/", work.sources.container.name)],
        keep_going: true,
        write_pins: true,
        verbose: work.verbose,
        no_tests: !work.build,
        ..Options::default()
    };
    session::on_site(&options, work.repo, work.processes, false, |site| {
        let nix = site.nix.with_system(elsewhere.system.clone());
        then(&mut Site { nix, ..site }, &text, &copy)
    })
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
    let is_moved = work.moves.iter().any(|edit| edit.key == ["version"]);
    let mut plan = plan::sort(text, is_moved, &before, &after, &named)?;
    if !work.only.is_empty() {
        // What depends on them is another derivation once their hashes are.
        let anew = plan::text(text, &plan, &BTreeMap::new())?;
        files::write_atomically(copy, anew.as_bytes(), 0o644)?;
        let after = site.nix.pinned(&site.inputs, work.repo)?;
        let after = plan::derivations(after, copy);
        plan = plan::sort(text, is_moved, &before, &after, &named)?;
    }
    if work.sources.tree.is_some() {
        plan::follow_tree(&work.sources.pins, work.main, text, &mut plan)?;
    }
    plan.moves.clone_from(&work.moves);
    // A hash that moves is neither to be found nor stays.
    plan.stay
        .retain(|key| !work.moves.iter().any(|edit| edit.key == *key));
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
    if site.host.is_some() {
        site.deliver(&on_host::pack(site.processes, site.repo, &site.sources)?)?;
    }
    Ok(())
}

/// Builds that go on until no hash is wrong.
struct Rounds<'w> {
    work: &'w Work<'w>,
    plan: &'w Plan,
    copy: &'w Utf8Path,
    /// Whether components and tests are built.
    build: bool,
    count: usize,
    steps: Steps,
    /// Whether it was said what is built over what.
    is_announced: bool,
    /// Which derivations take their hashes from which pins.
    pinned: Vec<Pinned>,
    /// What a nix-build was given that builds beside others.
    given: BTreeSet<String>,
    /// What waits for hashes.
    waiting: Vec<String>,
    /// What could be built by now, and gives way.
    held: Held,
    /// The derivations that were built with fake hashes, by what they are pinned as.
    fakes: BTreeMap<String, String>,
}

impl<'w> Rounds<'w> {
    fn new(work: &'w Work<'w>, plan: &'w Plan, copy: &'w Utf8Path, build: bool) -> Self {
        Self {
            work,
            plan,
            copy,
            build,
            count: 0,
            steps: Steps::default(),
            is_announced: false,
            pinned: Vec::new(),
            given: BTreeSet::new(),
            waiting: Vec::new(),
            held: Held::default(),
            fakes: BTreeMap::new(),
        }
    }

    /// Builds; an exit code if that failed, after it was said why.
    fn run(&mut self, site: &mut Site<'_>, journal: &mut Journal) -> Result<Option<ExitCode>> {
        let mut progress = Progress::new();
        let mut history = History::read(self.work.repo.state().join("history.json"), "update");
        self.learn(site, journal)?;
        // Another machine is asked over one connection.
        let is_beside = site.host.is_none() && site.options.store.is_none();
        loop {
            if is_beside {
                if let Some(code) = self.beside(site, &history, &mut progress, journal)? {
                    return Ok(Some(code));
                }
                refresh(site)?;
            }
            let targets = self.targets(site, &mut progress, journal)?;
            give_up(&targets, &mut progress);
            self.count += usize::from(!is_beside || self.count == 0);
            let outcome = execute::build(site, &history, &targets, &mut progress)?;
            self.steps.add(&progress.run);
            if self.accept(&outcome.stale, &mut progress, journal)? {
                refresh(site)?;
                continue;
            }
            let code =
                conclude::finish(site, &mut history, &progress, outcome, self.work.diagnose)?;
            return Ok((code != ExitCode::SUCCESS).then_some(code));
        }
    }

    /// Takes the hashes that an earlier run found of the very derivations that are to be built now: expressions may have
    /// changed since.
    fn learn(&self, site: &mut Site<'_>, journal: &Journal) -> Result<()> {
        while !journal.hashes.is_empty() {
            let pinned = site.nix.pinned_to_build(&site.inputs, self.work.repo)?;
            let mut changes = BTreeMap::new();
            for pin in pinned.into_iter().filter(|pin| self.follows(pin)) {
                let known = journal.hashes.get(&pin.key.join("/"));
                let Some(proven) = known.filter(|it| it.drv == pin.drv) else {
                    continue;
                };
                let hash = |text: &str| {
                    let hash = text.parse();
                    hash.map_err(|error| {
                        anyhow::anyhow!("the journal has the malformed hash {error}")
                    })
                };
                let change = Change {
                    key: pin.key.clone(),
                    from: hash(plan::FAKE)?,
                    to: hash(&proven.hash)?,
                };
                changes.insert(pin.key, change);
            }
            let changes: Vec<Change> = changes.into_values().collect();
            if changes.is_empty() {
                break;
            }
            // What is made of these is another derivation now.
            pins::write(self.copy, &self.work.repo.lock(), &changes)?;
            refresh(site)?;
        }
        Ok(())
    }

    /// Builds all that can be built, each as soon as the hashes of what it needs are known; an exit code if a signal
    /// came.
    fn beside(
        &mut self,
        site: &Site<'_>,
        history: &History,
        progress: &mut Progress,
        journal: &mut Journal,
    ) -> Result<Option<ExitCode>> {
        // Said before anything is built, not after.
        files::check_writable(&site.results(&self.work.sources.container.name))?;
        let next = |progress: &mut Progress| self.next(site, progress, journal);
        let interrupted = execute::beside(site, history, progress, next)?;
        self.steps.add(&progress.run);
        Ok(interrupted.map(|it| it.exit_code()))
    }

    /// Takes the hashes that were found, and gives what can be built now and could not before: a fixed output of which
    /// the hash is to be found by itself, all else together, once that leaves processors for it.
    fn next(
        &mut self,
        site: &Site<'_>,
        progress: &mut Progress,
        journal: &mut Journal,
    ) -> Result<Vec<BTreeSet<String>>> {
        self.steps.add(&progress.run);
        for (drv, _) in progress.run.failures() {
            self.held.sought.remove(drv);
        }
        let mut stale = mismatch::after_build(progress.run.failures(), &self.pinned);
        stale.retain(|it| !progress.was_changed(it));
        let is_first = self.pinned.is_empty();
        self.accept(&stale, progress, journal)?;
        let found: BTreeSet<String> = stale.into_iter().filter_map(|it| it.drv).collect();
        let mut known = BTreeMap::new();
        // An evaluation takes seconds: only for what waits for what was found.
        if !is_first
            && !self
                .waiting
                .iter()
                .any(|drv| needs(drv, &found, &mut known))
        {
            return Ok(self.groups(BTreeSet::new()));
        }
        let mut targets = self.targets(site, progress, journal)?;
        let hashes: BTreeMap<Key, Sri> = pins::hashes(&fs_err::read_to_string(self.copy)?)?
            .into_iter()
            .collect();
        let is_fake = |hash: &Sri| hash.to_string() == plan::FAKE;
        let unknown = self.pinned.iter().filter(|pin| self.follows(pin));
        let unknown = unknown.filter(|pin| hashes.get(&pin.key).is_none_or(is_fake));
        let unknown: BTreeSet<String> = unknown.map(|pin| pin.drv.clone()).collect();
        let mut known = BTreeMap::new();
        targets.retain(|it| !self.given.contains(&it.drv));
        let (waiting, mut targets): (Vec<_>, Vec<_>) = targets
            .into_iter()
            .partition(|it| needs(&it.drv, &unknown, &mut known));
        self.waiting = waiting.into_iter().map(|it| it.drv).collect();
        progress.note_known(&site.nix, &targets)?;
        targets.retain(|it| !progress.valid_before.contains(&it.out));
        progress.run.more(&targets);
        let drvs: BTreeSet<String> = targets.into_iter().map(|it| it.drv).collect();
        self.given.extend(drvs.iter().cloned());
        let (alone, together): (BTreeSet<String>, BTreeSet<String>) =
            drvs.into_iter().partition(|drv| unknown.contains(drv));
        self.count += usize::from(!alone.is_empty() || !together.is_empty());
        self.held.drvs.extend(together);
        Ok(self.groups(alone))
    }

    /// What is begun now: each of these by itself, and what was held back, if it is due.
    fn groups(&mut self, alone: BTreeSet<String>) -> Vec<BTreeSet<String>> {
        self.held.sought.extend(alone.iter().cloned());
        let alone = alone.into_iter().map(|drv| BTreeSet::from([drv]));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        alone.chain(self.held.due(processors)).collect()
    }

    /// What is to be built, with the hashes that are known by now.
    fn targets(
        &mut self,
        site: &Site<'_>,
        progress: &mut Progress,
        journal: &mut Journal,
    ) -> Result<Vec<Target>> {
        let targets = match self.evaluated(site) {
            Err(error) => {
                let stale = evaluate::mismatches(site, &error)?;
                if !self.accept(&stale, progress, journal)? {
                    return Err(error);
                }
                self.evaluated(site)?
            }
            Ok(targets) => targets,
        };
        for target in &targets {
            if let Some(fake) = self.fakes.get(&target.component) {
                self.steps.same(&target.drv, fake);
            }
        }
        Ok(targets)
    }

    fn evaluated(&mut self, site: &Site<'_>) -> Result<Vec<Target>> {
        let is_first = !self.is_announced;
        let described = if self.build {
            evaluate::describe(site, true, is_first)?
        } else {
            // No component is looked at for the sake of its name.
            if is_first {
                let host = site.remote().map(Remote::host);
                package_set::announce(&site.choice, &site.sources, host);
            }
            Vec::new()
        };
        self.is_announced = true;
        let mut targets = self.fixed_outputs(site)?;
        let repo = self.work.repo;
        targets.extend(components::targets(&described, |at| {
            components::file_of(repo, at)
        }));
        Ok(targets)
    }

    /// The derivations of the pins that follow.
    fn fixed_outputs(&mut self, site: &Site<'_>) -> Result<Vec<Target>> {
        self.pinned = site.nix.pinned_to_build(&site.inputs, self.work.repo)?;
        let name = &self.work.sources.container.name;
        let follow = self.pinned.iter().filter(|pin| self.follows(pin));
        let targets = follow.map(|pin| Target {
            container: name.clone(),
            component: pin.key.join("."),
            label: pin.key.join("."),
            drv: pin.drv.clone(),
            out: pin.out.clone(),
            file: None,
        });
        Ok(targets.collect())
    }

    /// Whether the hash of a derivation is one that is to be found.
    fn follows(&self, pin: &Pinned) -> bool {
        pin.file == self.copy && self.plan.follow.contains_key(&pin.key)
    }

    /// Takes the hashes that were found, if they may change and did not change before.
    fn accept(
        &mut self,
        stale: &[PinMismatch],
        progress: &mut Progress,
        journal: &mut Journal,
    ) -> Result<bool> {
        if stale.is_empty() || !progress.are_new(stale) {
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
        for it in stale {
            let change = &it.change;
            terminal::say(format!("found `{}`: {}", change.shown(), change.to));
            let Some(drv) = &it.drv else { continue };
            let proven = Proven {
                hash: change.to.to_string(),
                drv: drv.clone(),
            };
            journal.hashes.insert(change.key.join("/"), proven);
            self.fakes.insert(change.shown(), drv.clone());
        }
        journal.write(self.work.folder)?;
        progress.changed.extend_from_slice(stale);
        progress
            .run
            .accept(stale.iter().filter_map(|it| it.drv.as_deref()));
        Ok(true)
    }
}

/// Components give way to hashes that are to be found: more waits for those.
#[derive(Default)]
struct Held {
    /// The fixed outputs that are built to find their hashes.
    sought: BTreeSet<String>,
    /// What else can be built.
    drvs: BTreeSet<String>,
}

impl Held {
    /// What is held no longer, as hashes are sought on fewer processors than there are.
    fn due(&mut self, processors: usize) -> Option<BTreeSet<String>> {
        let is_due = self.sought.len() < processors && !self.drvs.is_empty();
        is_due.then(|| std::mem::take(&mut self.drvs))
    }
}

/// Builds nothing again that failed, or that needs what failed.
fn give_up(targets: &[Target], progress: &mut Progress) {
    let failures = progress.run.failures();
    let failed: BTreeSet<String> = failures
        .filter(|(_, failure)| matches!(failure, Failure::Build { .. }))
        .map(|(drv, _)| drv.to_owned())
        .collect();
    let mut known = BTreeMap::new();
    let drvs = targets.iter().map(|target| &target.drv);
    let hopeless = drvs.filter(|drv| failed.contains(*drv) || needs(drv, &failed, &mut known));
    progress.hopeless.extend(hopeless.cloned());
}

/// Whether a derivation needs one of these, itself left out; `known` has what was found out before.
fn needs(drv: &str, these: &BTreeSet<String>, known: &mut BTreeMap<String, bool>) -> bool {
    if let Some(needs) = known.get(drv) {
        return *needs;
    }
    let inputs = nix::inputs_of(drv);
    let found = inputs
        .iter()
        .any(|it| these.contains(it) || needs(it, these, known));
    known.insert(drv.to_owned(), found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_give_way_to_hashes() {
        let set = |drvs: &[&str]| drvs.iter().map(|drv| (*drv).to_owned()).collect();
        let mut held = Held {
            sought: set(&["venv", "modules"]),
            drvs: set(&["client"]),
        };
        assert_eq!(held.due(2), None);
        held.sought.remove("modules");
        assert_eq!(held.due(2), Some(set(&["client"])));
        assert_eq!(held.due(2), None);
        // Many processors have room for all, and nothing is held where nothing is sought.
        held.drvs = set(&["server"]);
        assert_eq!(held.due(16), Some(set(&["server"])));
        let mut held = Held {
            drvs: set(&["web"]),
            ..Held::default()
        };
        assert_eq!(held.due(1), Some(set(&["web"])));
    }
}
