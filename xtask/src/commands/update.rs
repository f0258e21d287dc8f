//! `cargo xtask update`: which releases there are, what moving to one takes, and the move.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::build::selection::no_container;
use crate::machine::sandbox_probe::sandbox_problem;
use crate::nix::PackageSet;
use crate::pins::sources::{self, SourceOverride, SourceTree, Sources};
use crate::pins::{self, Pins};
use crate::repo::{Container, Repo};
use crate::update::git::{self, Tags};
use crate::update::hashes::{self, End, Work};
use crate::update::journal::{Journal, Lock};
use crate::update::plan;
use crate::update::preflight::{self, Kind, Note, Subject};
use crate::update::program::{self, Prepared, Program};
use crate::update::release::{self, Choice, Release, Wanted};
use crate::update::report;
use crate::update::tree::Tree;
use nix_formats::nar;
use sys::git::Git;
use sys::process::Processes;
use sys::terminal;

/// Move a container to a new release: versions and hashes, all of them or none
///
/// Releases are the tags of the first place in the pins that answers. A line is the first two numbers of a
/// version. Without `--to` or `--next`, the newest final release of the pinned line is meant; a pre-release
/// only if `--to` names it. To go back, or to pass over a line, is refused. The releases of a program that
/// compiles a Go module in are the versions of that module: Go moves it and the other requirements in a copy
/// of the expressions.
///
/// First the new tree is compared with the expressions and with the pinned one, without building: lines that
/// are replaced, files that components are built from, Go, Node, npm and Python, packages, migrations,
/// defaults. Each finding has file and line, under `a person must decide`, where the run then ends, or `for
/// information`. Then each hash whose derivation is another with the new version is found by building it, in
/// rounds, on a copy of the pins, and all components are built and tested. In the end pins.json is written
/// once. After any failure it is what it was; `--resume` goes on with the hashes that were found. Hashes of
/// other systems that would be wrong are removed. Trees and the journal are in target/xtask/update.
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
    /// The container [default: the only one with releases]
    #[arg(value_name = "CONTAINER")]
    container: Option<String>,
    /// Move to this version
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
    /// Check a tree that is here, instead of a release; change nothing
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
    #[arg(long, conflicts_with_all = ["to", "next", "list", "source", "dry_run", "only"])]
    resume: bool,
    /// Commit the pins file, with old and new hashes in the message
    #[arg(long, conflicts_with_all = ["list", "source", "dry_run"])]
    commit: bool,
    /// Also write what was done as Markdown, for a pull request
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "source", "dry_run"])]
    report: Option<Utf8PathBuf>,
    /// The package set to build over [default: nixpkgs if it is available, else host]
    #[arg(long, value_name = "SET")]
    pkgs: Option<PackageSet>,
    /// Print JSON lines: with `--list` container, version, line, `pre_release`, state; findings: kind, code,
    /// what, spots (tree, path, line, text); pins: pin, state, old, new
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
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let processes = Processes::new(args.verbose)?;
    let container = container(args.container.as_deref(), &repo)?;
    let asked = SourceOverride {
        pins: args.pins.as_deref(),
        ..SourceOverride::default()
    };
    let sources = sources::resolve(&repo, &container, &asked)?;
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
    };
    match &args.source {
        Some(tree) => session.check_tree(tree),
        None if args.list => session.list(),
        None if args.dry_run => session.plan(None),
        None => {
            let lock = Lock::take(&session.trees(), &container.name)?;
            if args.only.is_empty() {
                session.plan(Some(&lock))
            } else {
                session.apply(&lock, None, &[])
            }
        }
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

    /// Checks a tree that is here.
    fn check_tree(&self, tree: &Utf8Path) -> Result<ExitCode> {
        let Follows::Source(wants, main) = &self.follows else {
            bail!("{} is not built from a source tree", self.container().name);
        };
        let new = Tree::open(tree)?;
        let version = sources::tree_version(self.container(), tree)
            .with_context(|| format!("`{tree}` is not a source tree of {}", self.container().name))?
            .map_or_else(|| "?".to_owned(), |version| version.to_string());
        self.say_move(&format!("{version} in {tree}"));
        let old = match self.at_hand() {
            Some(old) => Ok(old),
            None => self.tags(main).and_then(|tags| self.old_tree(&tags)),
        };
        let notes = self.compare(wants, &new, old, Vec::new())?;
        let decide = notes.iter().any(|note| note.kind == Kind::Decide);
        Ok(ExitCode::from(u8::from(decide)))
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
            let left = Journal::read(&self.trees())?;
            let left =
                left.context("there is nothing to resume: no update was ended before its end")?;
            Some(left.to)
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
                terminal::say(format!(
                    "{} {} is the newest release of its line{more}",
                    self.container().name,
                    self.pinned
                ));
                return Ok(ExitCode::SUCCESS);
            }
        };
        let (target, notes) = match (&self.follows, &tags) {
            (Follows::Source(wants, main), Some(tags)) => self.to_tree(wants, main, tags, &to)?,
            (Follows::Program(program), _) => self.to_program(program, &to)?,
            (Follows::Source(..), None) => bail!("there are no tags"),
        };
        let decide = notes.iter().any(|note| note.kind == Kind::Decide);
        let Some(lock) = lock else {
            return Ok(ExitCode::from(u8::from(decide)));
        };
        // What Go refused is not there to go on with.
        let may_go_on = matches!(target.content, Content::Tree(_));
        if decide && !(self.args.anyway && may_go_on) {
            let or = if may_go_on {
                ", or go on as they are with `--anyway`"
            } else {
                ""
            };
            terminal::say(format!(
                "nothing was changed: adapt the expressions to {to}{or}"
            ));
            return Ok(ExitCode::from(1));
        }
        self.apply(lock, Some(&target), &notes)
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
        let other_places = self.other_places(main, tags, to);
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
        let before = fs_err::read(path)?;
        if self.args.commit {
            self.refuse_to_commit()?;
        }
        let folder = self.trees();
        let version = self.pinned.to_string();
        let to = target.map_or(&version, |target| &target.release);
        let mut journal = self.journal(&folder, to, target.map_or("", |it| &it.commit))?;
        journal.write(&folder)?;
        let content = target.map(|target| &target.content);
        let (repo, sources) = match content {
            Some(Content::Program(prepared)) => (&prepared.repo, &prepared.sources),
            _ => (self.repo, &self.sources),
        };
        let work = Work {
            repo,
            processes: self.processes,
            sources,
            before: (self.repo, &self.sources),
            to: target.map(|target| target.release.as_str()),
            tree: match content {
                Some(Content::Tree(tree)) => Some(tree),
                _ => None,
            },
            main: match &self.follows {
                Follows::Source(_, main) => main,
                Follows::Program(_) => "",
            },
            only: &self.args.only,
            pkgs: self.args.pkgs,
            build: !self.args.no_build,
            verbose: self.args.verbose,
            folder: &folder,
            diagnose: sandbox_problem,
        };
        let found = hashes::find(&work, &mut journal);
        let shown = self.repo.shown(path);
        let done = match found {
            Ok(End::Found(done)) => done,
            other => {
                let hashes = journal.hashes.len();
                let s = if hashes == 1 { "" } else { "es" };
                terminal::say(format!(
                    "{shown} is as it was; `--resume` goes on with {hashes} hash{s} that were found"
                ));
                return match other {
                    Ok(End::Failed(code)) => Ok(code),
                    Ok(End::Found(_)) => Ok(ExitCode::SUCCESS),
                    Err(error) => Err(error),
                };
            }
        };
        if fs_err::read(path)? != before {
            bail!("{shown} was changed meanwhile: update again");
        }
        let rows = report::rows(&done.plan, &done.found);
        if let (Some(Content::Program(prepared)), Follows::Program(program)) =
            (content, &self.follows)
        {
            program.write(prepared)?;
        }
        pins::write_edits(
            path,
            &self.repo.lock(),
            &plan::edits(&done.plan, &done.found),
        )?;
        Journal::remove(&folder)?;
        if let Some(target) = target.filter(|target| !target.commit.is_empty()) {
            git::keep_only(&folder, &target.commit, &target.release)?;
        }
        self.conclude(target, notes, &rows, &done)
    }

    /// The journal to go on with, or a new one.
    fn journal(&self, folder: &Utf8Path, to: &str, commit: &str) -> Result<Journal> {
        let pins = self.sources.pins_path.clone();
        let pins_hash = nar::flat(pins.as_std_path())?.to_string();
        let left = Journal::read(folder)?;
        if self.args.resume {
            let left =
                left.context("there is nothing to resume: no update was ended before its end")?;
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
            ..Journal::default()
        })
    }

    /// Says what was done, in every form that was asked for.
    fn conclude(
        &self,
        target: Option<&Target>,
        notes: &[Note],
        rows: &[report::Row],
        done: &hashes::Done,
    ) -> Result<ExitCode> {
        let shown = self.repo.shown(&self.sources.pins_path);
        let name = &self.container().name;
        let title = match target {
            Some(target) => format!("{name}: {} -> {}", self.pinned, target.release),
            None => format!("{name}: hashes of {}", self.args.only.join(", ")),
        };
        if self.args.json {
            rows.iter().try_for_each(terminal::emit_json)?;
        } else {
            terminal::emit(report::pins(rows).trim_end())?;
        }
        let proof = if self.args.no_build {
            "Components were not built."
        } else {
            "All components were built, and their tests passed."
        };
        let s = if done.rounds == 1 { "" } else { "s" };
        let seconds = sys::table::human_seconds(done.elapsed.as_secs_f64());
        let end = format!("{proof} {} round{s} of builds, {seconds}.", done.rounds);
        terminal::say(format!("written to {shown}. {end}"));
        if let Some(file) = &self.args.report {
            let compare = target.and_then(|target| target.compare.as_deref());
            let text = report::markdown(&title, compare, rows, notes, &end);
            sys::files::write_atomically(file, text.as_bytes(), 0o644)?;
        }
        if self.args.commit {
            let message = format!("{title}\n\n{}", report::commit(rows));
            let files = self.files();
            let files = files.iter().map(|path| path.as_str());
            let git = Git::new(self.processes, &self.repo.root).isolated();
            let commit = ["commit", "--quiet", "--message", &message, "--only", "--"];
            git.output(&commit.into_iter().chain(files).collect::<Vec<_>>())?;
        }
        let removed: Vec<&str> = rows
            .iter()
            .filter(|row| row.state == "removed")
            .map(|row| row.pin.as_str())
            .collect();
        if removed.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        terminal::say(format!(
            "removed, as they can't be found on this machine: {}; `cargo xtask test-build --write-pins` finds \
             each where it can be built, once it is there again with a fake hash",
            removed.join(", ")
        ));
        Ok(ExitCode::from(1))
    }

    /// A commit must have nothing in it but what this run changes.
    fn refuse_to_commit(&self) -> Result<()> {
        let git = Git::new(self.processes, &self.repo.root).isolated();
        for path in self.files() {
            let shown = self.repo.shown(&path);
            git.output(&["ls-files", "--error-unmatch", "--", path.as_str()])
                .with_context(|| format!("`--commit`: {shown} is not under git"))?;
            let changes = git.output(&["status", "--porcelain", "--", path.as_str()])?;
            if !changes.is_empty() {
                bail!(
                    "`--commit`: {shown} has changes that are not committed: commit or undo them first"
                );
            }
        }
        Ok(())
    }

    /// The files that an update changes.
    fn files(&self) -> Vec<Utf8PathBuf> {
        let mut files = vec![self.sources.pins_path.clone()];
        if let Follows::Program(program) = &self.follows {
            files.extend(program.files());
        }
        files
    }

    fn say_move(&self, to: &str) {
        terminal::say(format!("{} {} -> {to}", self.container().name, self.pinned));
    }

    /// The folder of fetched trees.
    fn trees(&self) -> Utf8PathBuf {
        self.repo
            .state()
            .join("update")
            .join(&self.container().name)
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

    /// Sources of the same version in other repositories: whether they have it, and how it is spelled.
    fn other_places(&self, name_of_main: &str, main: &Tags, to: &Release) -> Vec<Note> {
        let mut notes = Vec::new();
        for (name, source) in self.pins().sources() {
            let git = source.places.iter().filter(
                |place| matches!(place, pins::Place::Git { rev, .. } if rev.contains("{version}")),
            );
            let git: Vec<_> = git.collect();
            let is_main = |place: &&pins::Place| matches!(place, pins::Place::Git { url, .. } if *url == main.url);
            if name == name_of_main || source.version.is_some() || git.is_empty() {
                continue;
            }
            if git.iter().any(is_main) {
                continue;
            }
            let (tags, _) = match git::first_tags(self.processes, git.into_iter()) {
                Ok(found) => found,
                Err(error) => {
                    terminal::say(format!("`sources.{name}`: {error:#}"));
                    continue;
                }
            };
            let tag = tags.pattern.replace("{version}", &to.to_string());
            if tags.commits.contains_key(&tag) {
                continue;
            }
            let others = source
                .places
                .iter()
                .any(|place| !matches!(place, pins::Place::Git { .. }));
            let named = tags.commits.keys().map(String::as_str);
            let other = release::other_spelling(named, &tags.pattern, to);
            let other = other.map_or_else(String::new, |tag| {
                format!("; its tag `{tag}` has the same numbers, if that is it, make it the `rev`")
            });
            let (kind, rest) = if others {
                (Kind::Information, "; the other places of the pin are asked")
            } else {
                (Kind::Decide, "")
            };
            notes.push(Note {
                kind,
                code: "tag-missing",
                what: format!(
                    "`sources.{name}`: {} has no tag `{tag}`{rest}{other}",
                    tags.url
                ),
                spots: Vec::new(),
            });
        }
        notes
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
