//! `cargo xtask update`: which releases there are, and what moving to one takes.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::pins::Pins;
use crate::pins::sources::{self, SourceOverride, SourceTree, Sources};
use crate::repo::{Container, Repo};
use crate::update::git::{self, Tags};
use crate::update::preflight::{self, Kind, Note, Subject};
use crate::update::release::{self, Choice, Release, Wanted};
use crate::update::report;
use crate::update::tree::Tree;
use sys::process::Processes;
use sys::terminal;

/// Show the releases of a container, and what a new one changes
///
/// Releases are the tags of the first place in the pins that answers. A line is the first two numbers of a
/// version. Without `--to` or `--next`, the newest final release of the pinned line is meant; a pre-release
/// only if `--to` names it. To go back, or to pass over a line, is refused.
///
/// The new tree is compared with the expressions and with the pinned one, without building: lines that are
/// replaced, files that components are built from, Go, Node, npm and Python, packages, migrations, defaults.
/// Each finding has file and line, under `a person must decide` or `for information`. Nothing is written but
/// fetched trees, in target/xtask/update.
///
/// Exit codes: 0 nothing to decide, 1 a person must decide, 2 could not run, 129, 130 or 143 interrupted.
///
/// Example: `cargo xtask update --dry-run`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(group(clap::ArgGroup::new("act").args(["list", "dry_run", "source"]).required(true)))]
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
    /// List the releases; check nothing
    #[arg(long)]
    list: bool,
    /// Say what moving takes
    #[arg(long, conflicts_with = "list")]
    dry_run: bool,
    /// Check a tree that is here, instead of a release
    #[arg(long, value_name = "TREE", conflicts_with_all = ["to", "next", "list"])]
    source: Option<Utf8PathBuf>,
    /// The tree of the pinned release [default: fetched from the pinned places]
    #[arg(long, value_name = "TREE", conflicts_with = "list")]
    from: Option<Utf8PathBuf>,
    /// Use another file instead of the container's pins.json
    #[arg(long, value_name = "FILE")]
    pins: Option<Utf8PathBuf>,
    /// Print JSON lines: for `--list` container, version, line, `pre_release`, state; else kind, code, what,
    /// spots (tree, path, line, text)
    #[arg(long)]
    json: bool,
    /// Show command lines
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

/// What each way needs.
struct Session<'a> {
    args: &'a Args,
    repo: &'a Repo,
    processes: &'a Processes,
    sources: Sources,
    wants: SourceTree,
    /// The source whose tags are the releases.
    main: String,
    pinned: Release,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let processes = Processes::new(args.verbose)?;
    let (container, wants, main) = container(args.container.as_deref(), &repo)?;
    let asked = SourceOverride {
        pins: args.pins.as_deref(),
        ..SourceOverride::default()
    };
    let sources = sources::resolve(&repo, &container, &asked)?;
    let version = sources.pins.version.to_string();
    let pinned = Release::parse(&version)
        .with_context(|| format!("the pinned version {version} is not one of a release"))?;
    if sources.pins.source(&main).is_none() {
        bail!(
            "`sources.{main}` is not in {}, and its tags are the releases, as source-tree.json says",
            repo.shown(&sources.pins_path)
        );
    }
    let session = Session {
        args,
        repo: &repo,
        processes: &processes,
        sources,
        wants,
        main,
        pinned,
    };
    match &args.source {
        Some(tree) => session.check_tree(tree),
        None if args.list => session.list(),
        None => session.plan(),
    }
}

/// The container that is meant, what it says of its trees, and the source that is such a tree.
fn container(name: Option<&str>, repo: &Repo) -> Result<(Container, SourceTree, String)> {
    let mut following = Vec::new();
    let all = repo.containers()?;
    for container in &all {
        if name.is_some_and(|name| name != container.name) {
            continue;
        }
        if let Some(mut wants) = sources::source_tree(container)?
            && let Some(main) = wants.source.take()
        {
            wants.source = Some(main.clone());
            following.push((container.clone(), wants, main));
        } else if name.is_some() {
            bail!(
                "{0} has no releases to follow: `source` in containers/{0}/source-tree.json would name the \
                 pinned source whose tags they are",
                container.name
            );
        }
    }
    match (following.pop(), following.is_empty(), name) {
        (Some(only), true, _) => Ok(only),
        (None, _, Some(name)) => bail!("{}", crate::build::selection::no_container(name, &all)),
        (None, _, None) => bail!("no container has releases to follow"),
        _ => bail!("several containers have releases to follow: name one"),
    }
}

impl Session<'_> {
    fn container(&self) -> &Container {
        &self.sources.container
    }

    fn pins(&self) -> &Pins {
        &self.sources.pins
    }

    /// The tags of the releases.
    fn tags(&self) -> Result<Tags> {
        let source = self.pins().source(&self.main);
        let places = source.map(|it| &it.places).into_iter().flatten();
        let (tags, silent) = git::first_tags(self.processes, places)?;
        for place in silent {
            terminal::say(format!("passed over {place}"));
        }
        Ok(tags)
    }

    fn list(&self) -> Result<ExitCode> {
        let tags = self.tags()?;
        let mut all = releases(&tags);
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
        let new = Tree::open(tree)?;
        let version = sources::tree_version(self.container(), tree)
            .with_context(|| format!("`{tree}` is not a source tree of {}", self.container().name))?
            .map_or_else(|| "?".to_owned(), |version| version.to_string());
        self.say_move(&format!("{version} in {tree}"));
        let old = match self.at_hand() {
            Some(old) => Ok(old),
            None => self.tags().and_then(|tags| self.old_tree(&tags)),
        };
        self.conclude(&new, old, Vec::new())
    }

    /// Says what moving to a release takes.
    fn plan(&self) -> Result<ExitCode> {
        let tags = self.tags()?;
        let all = releases(&tags);
        let named = match &self.args.to {
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
        self.say_move(&format!("{to}, from {}", tags.url));
        let other_places = self.other_places(&tags, &to);
        let tag = tags.pattern.replace("{version}", &to.to_string());
        let new = git::tree(self.processes, &self.trees(), &tags, &tag)?;
        let new = Tree::open(&new)?;
        let old = self.at_hand().map_or_else(|| self.old_tree(&tags), Ok);
        self.conclude(&new, old, other_places)
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
        let path = self.trees().join(format!("of-{}", self.pinned));
        path.canonicalize_utf8().ok()
    }

    /// The tree of the pinned release, fetched; the next run finds it by its version.
    fn old_tree(&self, tags: &Tags) -> Result<Utf8PathBuf> {
        let tag = tags.pattern.replace("{version}", &self.pinned.to_string());
        let tree = git::tree(self.processes, &self.trees(), tags, &tag)?;
        let link = self.trees().join(format!("of-{}", self.pinned));
        let target = tree.file_name().unwrap_or_default();
        if fs_err::os::unix::fs::symlink(target, &link).is_err() && !link.is_dir() {
            fs_err::remove_file(&link)?;
            fs_err::os::unix::fs::symlink(target, &link)?;
        }
        Ok(tree)
    }

    /// Sources of the same version in other repositories: whether they have it, and how it is spelled.
    fn other_places(&self, main: &Tags, to: &Release) -> Vec<Note> {
        let mut notes = Vec::new();
        for (name, source) in self.pins().sources() {
            let git = source.places.iter().filter(|place| {
                matches!(place, crate::pins::Place::Git { rev, .. } if rev.contains("{version}"))
            });
            let git: Vec<_> = git.collect();
            let is_main = |place: &&crate::pins::Place| matches!(place, crate::pins::Place::Git { url, .. } if *url == main.url);
            if name == self.main || source.version.is_some() || git.is_empty() {
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
                .any(|place| !matches!(place, crate::pins::Place::Git { .. }));
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
    fn conclude(
        &self,
        new: &Tree,
        old: Result<Utf8PathBuf>,
        mut notes: Vec<Note>,
    ) -> Result<ExitCode> {
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
            wants: &self.wants,
            pins: self.pins(),
            python: value.pointer("/python/package").and_then(|it| it.as_str()),
            old: old.as_ref(),
            new,
        };
        notes.extend(preflight::check(&subject)?);
        if self.args.json {
            notes.iter().try_for_each(terminal::emit_json)?;
        } else if notes.is_empty() {
            terminal::emit("nothing that the expressions rely on changed")?;
        } else {
            terminal::emit(report::notes(&notes).trim_end())?;
        }
        let decide = notes.iter().any(|note| note.kind == Kind::Decide);
        Ok(ExitCode::from(u8::from(decide)))
    }
}

/// The releases that tags name.
fn releases(tags: &Tags) -> Vec<Release> {
    let names = tags.commits.keys();
    names
        .filter_map(|tag| release::of_tag(tag, &tags.pattern))
        .collect()
}
