//! `cargo xtask update`: which releases there are, what moving to one takes, and the move.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::build::selection::no_container;
use crate::machine::sandbox_probe::sandbox_problem;
use crate::nix::{self, PackageSet};
use crate::pins::sources::{self, SourceOverride, SourceTree, Sources};
use crate::pins::{self, Pins};
use crate::repo::{Container, Repo};
use crate::update::cards;
use crate::update::conclude::{self, Ending};
use crate::update::git::{self, Tags};
use crate::update::hashes::{self, Elsewhere, End, Work};
use crate::update::journal::{Journal, Lock};
use crate::update::preflight::{self, Kind, Note, Subject};
use crate::update::program::{self, Prepared, Program};
use crate::update::release::{self, Choice, Release, Wanted};
use crate::update::together::{self, Changed};
use crate::update::tree::Tree;
use crate::update::{nixpkgs, other_places, plan, report};
use docs::restate::Moved;
use nix_formats::nar;
use sys::files;
use sys::inside::{self, LONGEST_TEXT};
use sys::process::{Processes, is_missing_program};
use sys::terminal;

/// Move a container to a new release: versions and hashes, all of them or none
///
/// Releases are the tags of the first place in the pins that answers. A line is the first two numbers of a
/// version. Without `--to` or `--next`, the newest final release of the pinned line is meant; a pre-release
/// only if `--to` names it. To go back, or to pass over a line, is refused. The releases of a program that
/// compiles a Go module in are the versions of that module: Go moves it and the other requirements in a copy
/// of the expressions. `update nixpkgs` moves the pinned nixpkgs of all containers and of flake.lock to the
/// newest revision of the branch that flake.lock names.
///
/// First the new tree is compared with the expressions and with the pinned one, without building: lines that
/// are replaced, files that components are built from, Go, Node, npm and Python, packages, migrations,
/// defaults. Each finding has file and line, under `a person must decide`, where the run then ends, or `for
/// information`. Then each hash whose derivation is another with the new version is found by building it, as
/// soon as the hashes of what it needs are known, on a copy of the pins, and all components are built and
/// tested, each as soon as it can be, by several nix-builds at a time. In the end pins.json is written
/// once, and so are reference cards that state the version. After any failure all is what it was; `--resume`
/// goes on with the hashes that were found. Hashes of other systems that would be wrong are removed, unless
/// `--system` or `--on` has them found; all else is built on this machine, which needs Nix. Trees and the
/// journal are in target/xtask/update.
///
/// Exit codes: 0 success, 1 a person must decide, a build failed, or a hash was removed, 2 could not run, 129,
/// 130 or 143 interrupted.
///
/// Example: `cargo xtask update --dry-run`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The container, or `nixpkgs` [default: the only one with releases]
    #[arg(value_name = "CONTAINER")]
    container: Option<String>,
    /// Move to this version; of nixpkgs, to this revision
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["next", "list"])]
    to: Option<String>,
    /// Move to the newest release of the next line
    #[arg(long, conflicts_with = "list")]
    next: bool,
    /// List the releases; change nothing
    #[arg(long)]
    list: bool,
    /// Say what moving takes; change nothing
    #[arg(long, conflicts_with = "list")]
    dry_run: bool,
    /// Check a tree that is here, instead of a release; change nothing, or with `--pins` make FILE that of the
    /// tree
    #[arg(long, value_name = "TREE", conflicts_with_all = ["to", "next", "list"])]
    source: Option<Utf8PathBuf>,
    /// The tree of the pinned release [default: fetched from the pinned places]
    #[arg(long, value_name = "TREE", conflicts_with = "list")]
    from: Option<Utf8PathBuf>,
    /// Use another file instead of the container's pins.json
    #[arg(long, value_name = "FILE")]
    pins: Option<Utf8PathBuf>,
    /// Keep the version; find the hash of this pin anew, and those that depend on it; can be repeated
    #[arg(long, value_name = "PIN", conflicts_with_all = ["to", "next", "list", "source", "dry_run"])]
    only: Vec<String>,
    /// Go on although a person must decide
    #[arg(long)]
    anyway: bool,
    /// Find the hashes; build and test no components
    #[arg(long)]
    no_build: bool,
    /// Go on with what an earlier run found
    #[arg(long, conflicts_with_all = ["list", "source", "dry_run", "only"])]
    resume: bool,
    /// Also find the hashes of this system, which are removed otherwise; can be repeated
    #[arg(long, value_name = "SYSTEM", conflicts_with_all = ["list", "dry_run"])]
    system: Vec<String>,
    /// Find them on another machine, HOST or USER@HOST as for ssh [default system: that of the machine]
    #[arg(long, value_name = "HOST", conflicts_with_all = ["list", "dry_run"])]
    on: Option<String>,
    /// Nix's `builders` for them, such as `ssh://HOST SYSTEM`
    #[arg(
        long,
        value_name = "BUILDERS",
        requires = "system",
        conflicts_with = "on"
    )]
    builders: Option<String>,
    /// Commit the pins file, with old and new hashes in the message
    #[arg(long, conflicts_with_all = ["list", "dry_run"])]
    commit: bool,
    /// Also write what was done as Markdown, for a pull request
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "dry_run"])]
    report: Option<Utf8PathBuf>,
    /// The package set to build over [default: nixpkgs if it is available, else host]
    #[arg(long, value_name = "SET")]
    pkgs: Option<PackageSet>,
    /// Print JSON lines: with `--list` container, version, line, `pre_release`, state; findings: kind, code,
    /// what, spots (tree, path, line, text); pins: container, pin, state, old, new
    #[arg(long)]
    json: bool,
    /// Show command lines and all messages of Nix
    #[arg(short, long)]
    verbose: bool,
}

/// A release in the list; also the JSON line.
#[derive(Serialize)]
struct Listed<'a> {
    container: &'a str,
    version: String,
    line: String,
    pre_release: bool,
    state: &'static str,
}

/// A release that is moved to.
struct Target {
    release: String,
    commit: String,
    compare: Option<String>,
    content: Content,
}

/// What a release is built from.
enum Content {
    /// Its tree.
    Tree(Tree),
    /// A working tree, as it is.
    Working(Tree, Box<Sources>),
    /// The expressions with what Go wrote.
    Program(Box<Prepared>),
}

/// What a container follows.
enum Follows {
    /// The tags of this source, which is a tree as that says.
    Source(SourceTree, String),
    /// The versions of a Go module.
    Program(Box<Program>),
}

/// What each way needs.
struct Session<'a> {
    args: &'a Args,
    repo: &'a Repo,
    processes: &'a Processes,
    sources: Sources,
    follows: Follows,
    pinned: Release,
    start: Instant,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let repo = Repo::find()?;
    if let Some(file) = &args.report {
        files::check_result("--report", file)?;
    }
    let changes = match &args.source {
        Some(_) => args.pins.is_some() && !args.dry_run,
        None => !args.list && !args.dry_run,
    };
    if changes {
        nix::require("`update` builds on this machine, `--on` only finds hashes of other systems")?;
    }
    let processes = Processes::new(args.verbose)?;
    if args.container.as_deref() == Some(nixpkgs::NAME) {
        return args.nixpkgs(&repo, &processes, start);
    }
    let container = container(args.container.as_deref(), &repo)?;
    let folder = update_folder(&repo, &container);
    let lock = changes.then(|| Lock::take(&folder, &container.name));
    let lock = lock.transpose()?;
    if lock.is_some() {
        together::put_back(&repo, &folder)?;
    }
    let sources = sources::resolve(&repo, &container, &args.asked())?;
    let version = sources.pins.version.to_string();
    let pinned = Release::parse(&version)
        .with_context(|| format!("the pinned version {version} is not one of a release"))?;
    let session = Session {
        args,
        repo: &repo,
        processes: &processes,
        follows: follows(args, &repo, &processes, &sources)?,
        sources,
        pinned,
        start,
    };
    match (&args.source, &lock) {
        (Some(tree), lock) => {
            if lock.is_some() {
                let asked = SourceOverride {
                    tree: Some(tree),
                    ..args.asked()
                };
                sources::refuse_to_write(&repo, &asked)?;
            }
            session.check_tree(tree, lock.as_ref())
        }
        (None, _) if args.list => session.list(),
        (None, Some(lock)) if !args.only.is_empty() => session.apply(lock, None, &[]),
        (None, lock) => session.plan(lock.as_ref()),
    }
}

/// The folder of fetched trees and of what an update knows.
fn update_folder(repo: &Repo, container: &Container) -> Utf8PathBuf {
    repo.state().join("update").join(&container.name)
}

impl Args {
    fn asked(&self) -> SourceOverride<'_> {
        SourceOverride {
            pins: self.pins.as_deref(),
            ..SourceOverride::default()
        }
    }

    /// Where hashes of other systems are found.
    fn elsewhere(&self) -> Vec<Elsewhere> {
        let of = |system: Option<&String>| Elsewhere {
            on: self.on.clone(),
            system: system.cloned(),
            builders: self.builders.clone(),
        };
        if self.system.is_empty() && self.on.is_some() {
            return vec![of(None)];
        }
        self.system.iter().map(|system| of(Some(system))).collect()
    }

    /// Moves nixpkgs, which has no releases, tree or pins file of its own.
    fn nixpkgs(&self, repo: &Repo, processes: &Processes, start: Instant) -> Result<ExitCode> {
        let others = [
            ("--next", self.next),
            ("--list", self.list),
            ("--source", self.source.is_some()),
            ("--from", self.from.is_some()),
            ("--pins", self.pins.is_some()),
            ("--only", !self.only.is_empty()),
        ];
        if let Some((flag, _)) = others.into_iter().find(|(_, is_given)| *is_given) {
            bail!(
                "`{flag}` is for containers: nixpkgs moves to the newest revision of its branch, or to one by `--to REV`"
            );
        }
        let asked = nixpkgs::Asked {
            to: self.to.as_deref(),
            dry_run: self.dry_run,
            resume: self.resume,
            build: !self.no_build,
            pkgs: self.pkgs,
            elsewhere: &self.elsewhere(),
            json: self.json,
            commit: self.commit,
            report: self.report.as_deref(),
            verbose: self.verbose,
            start,
        };
        nixpkgs::run(&asked, repo, processes)
    }
}

/// The container that is meant: the one that is named, else the only one that says where its releases are.
fn container(name: Option<&str>, repo: &Repo) -> Result<Container> {
    let mut all = repo.containers()?;
    if let Some(name) = name {
        let Some(at) = all.iter().position(|container| container.name == name) else {
            bail!("{}", no_container(name, &all));
        };
        return Ok(all.swap_remove(at));
    }
    let mut following = Vec::new();
    for container in all {
        if sources::source_tree(&container)?.is_some_and(|it| it.source.is_some()) {
            following.push(container);
        }
    }
    match following.len() {
        0 => bail!("no container has releases to follow"),
        1 => Ok(following.swap_remove(0)),
        _ => bail!("several containers have releases to follow: name one"),
    }
}

/// What a container follows.
fn follows(args: &Args, repo: &Repo, processes: &Processes, sources: &Sources) -> Result<Follows> {
    let container = &sources.container;
    if let Some(wants) = sources::source_tree(container)?
        && let Some(main) = wants.source.clone()
    {
        if sources.pins.source(&main).is_none() {
            bail!(
                "`sources.{main}` is not in {}, and its tags are the releases, as source-tree.json says",
                repo.shown(&sources.pins_path)
            );
        }
        return Ok(Follows::Source(wants, main));
    }
    if let Some(program) = program::of(processes, container, &sources.pins)? {
        if args.pins.is_some() || args.source.is_some() || args.from.is_some() {
            bail!(
                "{} is built from a program in this repository: `--pins`, `--source` and `--from` are for others",
                container.name
            );
        }
        return Ok(Follows::Program(Box::new(program)));
    }
    bail!(
        "{0} has no releases to follow: neither `source` in containers/{0}/source-tree.json nor `go.folder` in \
         its pins says where they are",
        container.name
    )
}

impl Session<'_> {
    fn container(&self) -> &Container {
        &self.sources.container
    }

    fn pins(&self) -> &Pins {
        &self.sources.pins
    }

    /// The tags of the releases.
    fn tags(&self, main: &str) -> Result<Tags> {
        let source = self.pins().source(main);
        let places = source.map(|it| &it.places).into_iter().flatten();
        let found = git::first_tags(self.processes, places);
        let (tags, silent) = found.inspect_err(|_| {
            terminal::say("is the network there? `--source TREE` checks a tree that is here");
        })?;
        for place in silent {
            terminal::say(format!("passed over {place}"));
        }
        Ok(tags)
    }

    fn list(&self) -> Result<ExitCode> {
        let mut all = match &self.follows {
            Follows::Source(_, main) => releases(&self.tags(main)?),
            Follows::Program(program) => program.releases(self.processes)?,
        };
        all.sort();
        all.reverse();
        let moves = |wanted| match release::choose(&self.pinned, &all, wanted) {
            Ok(Choice::Move(to)) => Some(to),
            _ => None,
        };
        let (same, next) = (moves(Wanted::SameLine), moves(Wanted::NextLine));
        let mut rows = vec![["version", "line", "state"].map(str::to_owned).to_vec()];
        for release in &all {
            let listed = Listed {
                container: &self.container().name,
                version: release.to_string(),
                line: release.shown_line(),
                pre_release: !release.is_final(),
                state: if *release == self.pinned {
                    "pinned"
                } else if Some(release) == same.as_ref() {
                    "newest of this line"
                } else if Some(release) == next.as_ref() {
                    "newest of the next line"
                } else if *release < self.pinned {
                    "older"
                } else {
                    ""
                },
            };
            if self.args.json {
                terminal::emit_json(&listed)?;
            } else {
                rows.push(vec![listed.version, listed.line, listed.state.to_owned()]);
            }
        }
        if !self.args.json {
            terminal::emit(sys::table::table(&rows).trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Checks a tree that is here; with the lock the pins become those that it is built with.
    fn check_tree(&self, tree: &Utf8Path, lock: Option<&Lock>) -> Result<ExitCode> {
        let Follows::Source(wants, main) = &self.follows else {
            bail!("{} is not built from a source tree", self.container().name);
        };
        let new = Tree::open(tree)?;
        let version = sources::tree_version(self.container(), tree)
            .with_context(|| format!("`{tree}` is not a source tree of {}", self.container().name))?
            .with_context(|| format!("`{tree}` has no version"))?
            .to_string();
        self.say_move(&format!("{version} in {tree}"));
        let old = match self.at_hand() {
            Some(old) => Ok(old),
            None => self.tags(main).and_then(|tags| self.old_tree(&tags)),
        };
        let notes = self.compare(wants, &new, old, Vec::new())?;
        let stops = notes.iter().any(|note| note.kind == Kind::Decide) && !self.args.anyway;
        let content = if lock.is_some() && !stops {
            if let Some(release) = Release::parse(&version) {
                release::refuse(&self.pinned, &release, &[], |_| None)?;
            }
            let asked = SourceOverride {
                tree: Some(tree),
                ..self.args.asked()
            };
            let sources = sources::resolve(self.repo, self.container(), &asked)?;
            Content::Working(new, Box::new(sources))
        } else {
            Content::Tree(new)
        };
        let target = Target {
            release: version,
            commit: String::new(),
            compare: None,
            content,
        };
        self.go_on(lock, &target, &notes)
    }

    /// Says what moving to a release takes, and with the lock moves to it.
    fn plan(&self, lock: Option<&Lock>) -> Result<ExitCode> {
        let tags = match &self.follows {
            Follows::Source(_, main) => Some(self.tags(main)?),
            Follows::Program(_) => None,
        };
        let all = match (&self.follows, &tags) {
            (Follows::Program(program), _) => program.releases(self.processes)?,
            (_, Some(tags)) => releases(tags),
            (_, None) => Vec::new(),
        };
        let left = if self.args.resume {
            Some(Journal::left(&self.trees())?.goes_to(self.args.to.as_deref())?)
        } else {
            None
        };
        let named = match left.as_ref().or(self.args.to.as_ref()) {
            Some(text) => Some(Release::parse(text).with_context(|| {
                format!("`{text}` is not the version of a release: numbers with dots, then `-rc1`")
            })?),
            None => None,
        };
        let wanted = match &named {
            Some(named) => Wanted::Named(named),
            None if self.args.next => Wanted::NextLine,
            None => Wanted::SameLine,
        };
        let to = match release::choose(&self.pinned, &all, wanted)? {
            Choice::Move(to) => to,
            Choice::Current => {
                let more = release::choose(&self.pinned, &all, Wanted::NextLine);
                let more = match more {
                    Ok(Choice::Move(to)) => format!("; `--next` moves to {to}"),
                    _ => String::new(),
                };
                let (name, pinned) = (&self.container().name, &self.pinned);
                terminal::say(match named {
                    Some(_) => format!("{name} is at {pinned} already"),
                    None => format!("{name} {pinned} is the newest release of its line{more}"),
                });
                return Ok(ExitCode::SUCCESS);
            }
        };
        let (target, notes) = match (&self.follows, &tags) {
            (Follows::Source(wants, main), Some(tags)) => self.to_tree(wants, main, tags, &to)?,
            (Follows::Program(program), _) => self.to_program(program, &to)?,
            (Follows::Source(..), None) => bail!("there are no tags"),
        };
        self.go_on(lock, &target, &notes)
    }

    /// Moves, if nobody has to decide; without the lock it says what would change.
    fn go_on(&self, lock: Option<&Lock>, target: &Target, notes: &[Note]) -> Result<ExitCode> {
        let decide = notes.iter().any(|note| note.kind == Kind::Decide);
        let Some(lock) = lock else {
            if !decide {
                self.preview(target)?;
            }
            return Ok(ExitCode::from(u8::from(decide)));
        };
        // What Go refused is not there to go on with.
        let may_go_on = !matches!(target.content, Content::Program(_));
        if decide && !(self.args.anyway && may_go_on) {
            let or = if may_go_on {
                ", or go on as they are with `--anyway`"
            } else {
                ""
            };
            terminal::say(format!(
                "nothing was changed: adapt the expressions to {}{or}",
                target.release
            ));
            return Ok(ExitCode::from(1));
        }
        self.apply(lock, Some(target), notes)
    }

    /// The tree of a release, and what it changes.
    fn to_tree(
        &self,
        wants: &SourceTree,
        main: &str,
        tags: &Tags,
        to: &Release,
    ) -> Result<(Target, Vec<Note>)> {
        self.say_move(&format!("{to}, from {}", tags.url));
        let other_places = other_places::notes(self.processes, self.pins(), main, tags, to);
        let tag = tags.pattern.replace("{version}", &to.to_string());
        let new = git::tree(self.processes, &self.trees(), tags, &tag)?;
        let new = Tree::open(&new)?;
        let old = self.at_hand().map_or_else(|| self.old_tree(tags), Ok);
        let notes = self.compare(wants, &new, old, other_places)?;
        let target = Target {
            release: to.to_string(),
            commit: tags.commits.get(&tag).cloned().unwrap_or_default(),
            compare: compare_link(tags, &self.pinned, to),
            content: Content::Tree(new),
        };
        Ok((target, notes))
    }

    /// The program of a release, and what changes with it.
    fn to_program(&self, program: &Program, to: &Release) -> Result<(Target, Vec<Note>)> {
        self.say_move(&format!("{to}, as {}", program.module));
        let mut prepared = program.prepare(self.processes, self.repo, self.container(), to)?;
        let notes = std::mem::take(&mut prepared.notes);
        self.show(&notes)?;
        let target = Target {
            release: to.to_string(),
            commit: String::new(),
            compare: None,
            content: Content::Program(Box::new(prepared)),
        };
        Ok((target, notes))
    }

    /// Finds all hashes, and writes the pins.
    fn apply(&self, _lock: &Lock, target: Option<&Target>, notes: &[Note]) -> Result<ExitCode> {
        let path = &self.sources.pins_path;
        let before = inside::read_text(path, LONGEST_TEXT)?;
        if self.args.commit {
            let mut files = vec![path.clone()];
            if let Follows::Program(program) = &self.follows {
                files.extend(program.files());
            }
            files.extend(self.cards(target, notes)?.into_iter().map(|it| it.path));
            conclude::refuse_to_commit(self.repo, self.processes, &files)?;
        }
        let folder = self.trees();
        let mut journal = self.journal(&folder, target)?;
        journal.write(&folder)?;
        let work = self.work(target, &folder)?;
        let shown = self.repo.shown(path);
        let done = match self.find(&work, &mut journal) {
            Ok(End::Found(done)) => done,
            other => {
                let hashes = journal.hashes.len();
                let s = if hashes == 1 { "" } else { "es" };
                let more = if journal.is_kept {
                    format!("; `--resume` goes on with {hashes} hash{s} that were found")
                } else {
                    String::new()
                };
                terminal::say(format!("{shown} is as it was{more}"));
                return match other {
                    Ok(End::Failed(code)) => Ok(code),
                    Ok(End::Found(_)) => Ok(ExitCode::SUCCESS),
                    Err(error) => Err(error),
                };
            }
        };
        let mut changed = vec![Changed {
            path: path.clone(),
            to: pins::edited(&before, &plan::edits(&done.plan, &done.found))?,
            from: before,
        }];
        if let (Some(Content::Program(prepared)), Follows::Program(program)) =
            (target.map(|target| &target.content), &self.follows)
        {
            changed.extend(program.changed(prepared)?);
        }
        // As they are now: builds take long.
        changed.extend(self.cards(target, notes)?);
        let files: Vec<Utf8PathBuf> = changed.iter().map(|it| it.path.clone()).collect();
        if self.args.commit {
            conclude::refuse_to_commit(self.repo, self.processes, &files)?;
        }
        together::write(self.repo, &folder, &changed)?;
        if journal.is_kept {
            Journal::remove(&folder)?;
        }
        if let Some(target) = target.filter(|target| !target.commit.is_empty()) {
            git::keep_only(&folder, &target.commit, &target.release)?;
        }
        let name = &self.container().name;
        let ending = Ending {
            repo: self.repo,
            processes: self.processes,
            title: match target {
                Some(target) => format!("{name}: {} -> {}", self.pinned, target.release),
                None => format!("{name}: hashes of {}", self.args.only.join(", ")),
            },
            compare: target.and_then(|target| target.compare.as_deref()),
            notes,
            json: self.args.json,
            commit: self.args.commit,
            report: self.args.report.as_deref(),
            built: !self.args.no_build,
            start: self.start,
            files,
        };
        ending.say(vec![(name.clone(), done)])
    }

    /// Finds the hashes, here and elsewhere.
    fn find(&self, work: &Work<'_>, journal: &mut Journal) -> Result<End> {
        let mut done = match hashes::find(work, journal)? {
            End::Found(done) => done,
            failed @ End::Failed(_) => return Ok(failed),
        };
        for elsewhere in &self.args.elsewhere() {
            if let Some(code) = hashes::fill(work, elsewhere, &mut done, journal)? {
                return Ok(End::Failed(code));
            }
        }
        Ok(End::Found(done))
    }

    /// What is to be found for a target.
    fn work<'w>(&'w self, target: Option<&'w Target>, folder: &'w Utf8Path) -> Result<Work<'w>> {
        let content = target.map(|target| &target.content);
        let (repo, sources) = match content {
            Some(Content::Program(prepared)) => (&prepared.repo, &prepared.sources),
            Some(Content::Working(_, sources)) => (self.repo, &**sources),
            _ => (self.repo, &self.sources),
        };
        let tree = match content {
            Some(Content::Tree(tree) | Content::Working(tree, _)) => Some(tree),
            _ => None,
        };
        Ok(Work {
            repo,
            processes: self.processes,
            sources,
            before: (self.repo, &self.sources),
            moves: match target {
                Some(target) => plan::moves(&sources.pins, &target.release, tree)?,
                None => Vec::new(),
            },
            tree,
            main: match &self.follows {
                Follows::Source(_, main) => main,
                Follows::Program(_) => "",
            },
            only: &self.args.only,
            pkgs: self.args.pkgs,
            build: !self.args.no_build,
            verbose: self.args.verbose,
            folder,
            diagnose: sandbox_problem,
        })
    }

    /// Says which pins would change.
    fn preview(&self, target: &Target) -> Result<()> {
        let folder = self.trees();
        let work = self.work(Some(target), &folder)?;
        let (plan, found) = match hashes::preview(&work) {
            Ok(found) => found,
            Err(error) if is_missing_program(&error) => {
                terminal::say("without Nix it is not known which hashes follow");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let rows = report::rows(&self.container().name, &plan, &found);
        if self.args.json {
            rows.iter().try_for_each(terminal::emit_json)
        } else {
            terminal::emit(report::pins(&rows).trim_end())
        }
    }

    /// The cards that state what moves, with their new texts. Other pins than the container's own are nothing that
    /// cards are about.
    fn cards(&self, target: Option<&Target>, notes: &[Note]) -> Result<Vec<Changed>> {
        let Some(target) = target.filter(|_| self.args.pins.is_none()) else {
            return Ok(Vec::new());
        };
        let mut moved = vec![Moved {
            from: self.pinned.to_string(),
            to: target.release.clone(),
            beside: None,
        }];
        moved.extend(notes.iter().filter_map(program::moved));
        cards::stating(self.repo, self.container(), &moved)
    }

    /// The journal to go on with, or a new one. Only a move to a release can be gone on with.
    fn journal(&self, folder: &Utf8Path, target: Option<&Target>) -> Result<Journal> {
        let pinned = self.pinned.to_string();
        let (to, commit) = target.map_or((&*pinned, ""), |it| (&it.release, &it.commit));
        let is_kept = match target.map(|target| &target.content) {
            Some(Content::Tree(_) | Content::Program(_)) => true,
            Some(Content::Working(..)) | None => false,
        };
        let pins = self.sources.pins_path.clone();
        let pins_hash = nar::flat(pins.as_std_path())?.to_string();
        if self.args.resume {
            let left = Journal::left(folder)?;
            if left.commit != commit || left.to != to {
                bail!(
                    "the tag of {} is at commit {commit} now, not at {}: begin anew, without `--resume`",
                    left.to,
                    left.commit
                );
            }
            if left.pins != pins || left.pins_hash != pins_hash {
                bail!(
                    "{} is not as it was then: begin anew, without `--resume`",
                    self.repo.shown(&pins)
                );
            }
            return Ok(left);
        }
        Ok(Journal {
            pins,
            pins_hash,
            to: to.to_owned(),
            commit: commit.to_owned(),
            is_kept,
            ..Journal::default()
        })
    }

    fn say_move(&self, to: &str) {
        terminal::say(format!("{} {} -> {to}", self.container().name, self.pinned));
    }

    fn trees(&self) -> Utf8PathBuf {
        update_folder(self.repo, self.container())
    }

    /// The tree of the pinned release that is given or was fetched before.
    fn at_hand(&self) -> Option<Utf8PathBuf> {
        if let Some(from) = &self.args.from {
            return Some(from.clone());
        }
        git::named(&self.trees(), &self.pinned.to_string())
    }

    /// The tree of the pinned release, fetched; the next run finds it by its version.
    fn old_tree(&self, tags: &Tags) -> Result<Utf8PathBuf> {
        let tag = tags.pattern.replace("{version}", &self.pinned.to_string());
        let tree = git::tree(self.processes, &self.trees(), tags, &tag)?;
        let commit = tree.file_name().unwrap_or_default();
        git::name(&self.trees(), commit, &self.pinned.to_string())?;
        Ok(tree)
    }

    /// Compares, and says what was found.
    fn compare(
        &self,
        wants: &SourceTree,
        new: &Tree,
        old: Result<Utf8PathBuf>,
        mut notes: Vec<Note>,
    ) -> Result<Vec<Note>> {
        let old = match old {
            Ok(old) => Some(Tree::open(&old)?),
            Err(error) if error.is::<sys::process::Interrupted>() => return Err(error),
            Err(error) => {
                terminal::say(format!(
                    "the tree of {} is not at hand, so migrations, defaults and packages are not compared; \
                     `--from TREE` names one: {error:#}",
                    self.pinned
                ));
                None
            }
        };
        let text = fs_err::read_to_string(&self.sources.pins_path)?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let subject = Subject {
            repo: self.repo,
            container: self.container(),
            wants,
            pins: self.pins(),
            python: value.pointer("/python/package").and_then(|it| it.as_str()),
            old: old.as_ref(),
            new,
        };
        notes.extend(preflight::check(&subject)?);
        self.show(&notes)?;
        Ok(notes)
    }

    /// Says what was found.
    fn show(&self, notes: &[Note]) -> Result<()> {
        if self.args.json {
            notes.iter().try_for_each(terminal::emit_json)
        } else if notes.is_empty() {
            terminal::emit("nothing that the expressions rely on changed")
        } else {
            terminal::emit(report::notes(notes).trim_end())
        }
    }
}

/// Where upstream's site shows what is between two releases, if it is one that does.
fn compare_link(tags: &Tags, from: &Release, to: &Release) -> Option<String> {
    let site = tags.url.strip_suffix(".git").unwrap_or(&tags.url);
    let tag = |release: &Release| tags.pattern.replace("{version}", &release.to_string());
    let is_site = site.starts_with("https://");
    is_site.then(|| format!("{site}/compare/{}...{}", tag(from), tag(to)))
}

/// The releases that tags name.
fn releases(tags: &Tags) -> Vec<Release> {
    let names = tags.commits.keys();
    names
        .filter_map(|tag| release::of_tag(tag, &tags.pattern))
        .collect()
}
