//! A container whose release is that of a Go module: a program of this repository compiles it in, with others.
//!
//! Its go.mod and go.sum are changed by Go, in a copy of the expressions; they take the place of the old ones when
//! all is proven.

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::golang::modules::{self, Go};
use crate::golang::require::{self, Moved};
use crate::pins::Pins;
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::repo::{Container, Repo};
use crate::update::expressions::{self, At, Tool};
use crate::update::preflight::{Kind, Note, Spot};
use crate::update::release::Release;
use crate::update::requirements;
use crate::update::together::Changed;
use docs::restate::Moved as Stated;
use sys::files;
use sys::process::{Interrupted, Processes};
use sys::scratch::Scratch;

/// The files that Go writes.
const FILES: [&str; 2] = ["go.mod", "go.sum"];

/// The program of a container.
pub struct Program {
    /// Its folder.
    pub folder: Utf8PathBuf,
    /// The module whose versions are the releases.
    pub module: String,
    /// The others that it requires directly.
    others: Vec<String>,
    go: Go,
}

/// A copy of the expressions with other requirements.
pub struct Prepared {
    _scratch: Scratch,
    /// The repository of the copy.
    pub repo: Repo,
    /// The sources in it.
    pub sources: Sources,
    /// The folder of the program in it.
    folder: Utf8PathBuf,
    /// What Go found in the files that it writes.
    before: [String; FILES.len()],
    /// What became of the requirements.
    pub notes: Vec<Note>,
}

fn read(folder: &Utf8Path) -> Result<[String; FILES.len()]> {
    let [one, other] = FILES.map(|name| fs_err::read_to_string(folder.join(name)));
    Ok([one?, other?])
}

/// The program of a container, if its pins name the folder of one.
pub fn of(processes: &Processes, container: &Container, pins: &Pins) -> Result<Option<Program>> {
    let Some(folder) = pins.go_folder() else {
        return Ok(None);
    };
    let folder = container.folder.join(folder);
    let mut required = require::direct(&fs_err::read_to_string(folder.join("go.mod"))?);
    let version = format!("v{}", pins.version);
    let is_at = |at: &usize| required[*at].1 == version;
    let found: Vec<usize> = (0..required.len()).filter(is_at).collect();
    let &[at] = &found[..] else {
        let which: Vec<&str> = found.iter().map(|at| required[*at].0.as_str()).collect();
        let which = if which.is_empty() {
            "no module".to_owned()
        } else {
            which.join(" and ")
        };
        bail!(
            "{folder}/go.mod requires {which} at {version}, the version in the pins: exactly one has to be the \
             module that it is the version of"
        );
    };
    let (module, _) = required.remove(at);
    Ok(Some(Program {
        folder,
        module,
        others: required.into_iter().map(|(module, _)| module).collect(),
        go: modules::find(processes, None)?,
    }))
}

/// The Go that the expressions name, if it is older than this.
fn go_here(repo: &Repo, container: &Container, needed: &[u64]) -> Result<Option<Spot>> {
    let tools = expressions::read(&container.folder)?.tools;
    let older = |tool: &(At, Tool, u64, u64)| {
        tool.1 == Tool::Go && [tool.2, tool.3, u64::MAX].as_slice() < needed
    };
    let found = tools.into_iter().find(older);
    Ok(found.map(|(at, _, major, minor)| Spot {
        tree: "here",
        path: repo.shown(&at.file).to_owned(),
        line: Some(at.line),
        text: format!("Go {major}.{minor}"),
    }))
}

/// The version of a requirement that moved, as a note says it.
pub fn moved(note: &Note) -> Option<Stated> {
    let (module, versions) = note
        .what
        .split_once(": v")
        .filter(|_| note.code == "requirement")?;
    let (from, to) = versions.split_once(" -> v")?;
    Some(Stated {
        from: from.to_owned(),
        to: to.to_owned(),
        beside: Some(module.to_owned()),
    })
}

impl Program {
    /// The releases.
    pub fn releases(&self, processes: &Processes) -> Result<Vec<Release>> {
        let versions = require::versions(processes, &self.go, &self.module)?;
        let versions = versions.iter().filter_map(|it| it.strip_prefix('v'));
        Ok(versions.filter_map(Release::parse).collect())
    }

    /// A copy of the expressions in which the program requires this release, and the newest of the others.
    pub fn prepare(
        &self,
        processes: &Processes,
        repo: &Repo,
        container: &Container,
        to: &Release,
    ) -> Result<Prepared> {
        let scratch = Scratch::new()?;
        let root = scratch.path().join("repository");
        // what the expressions of a container and of host-pkgs are made of
        for part in ["containers", "xtask/build-tools"] {
            let from = repo.root.join(part);
            if from.exists() {
                let target = root.join(part);
                fs_err::create_dir_all(target.parent().unwrap_or(&root))?;
                files::copy_tree(&from, &target)?;
            }
        }
        let in_copy = |path: &Utf8Path| root.join(repo.shown(path));
        let folder = in_copy(&self.folder);
        let before = read(&folder)?;
        let mut notes = self.change(processes, container, repo, &folder, to)?;
        notes.extend(self.notes(repo, container, &folder)?);
        let container = Container {
            name: container.name.clone(),
            folder: in_copy(&container.folder),
        };
        let copied = Repo { root: root.clone() };
        let sources = sources::resolve(&copied, &container, &SourceOverride::default())?;
        Ok(Prepared {
            _scratch: scratch,
            repo: copied,
            sources,
            folder,
            before,
            notes,
        })
    }

    /// Has Go require the release, and the newest of the others; what it does not do.
    fn change(
        &self,
        processes: &Processes,
        container: &Container,
        repo: &Repo,
        folder: &Utf8Path,
        to: &Release,
    ) -> Result<Vec<Note>> {
        let get = |module: &str, version: &str| {
            require::get(processes, &self.go, folder, module, version)
        };
        let mut notes = Vec::new();
        if let Moved::NeedsGo(needed) = get(&self.module, &format!("v{to}"))? {
            let here = go_here(repo, container, &[u64::MAX])?;
            notes.push(Note {
                kind: Kind::Decide,
                code: "go",
                what: format!("Go {needed} is required by {} {to}", self.module),
                spots: here.into_iter().collect(),
            });
            return Ok(notes);
        }
        for module in &self.others {
            let why = match get(module, "latest") {
                Ok(Moved::Done) => continue,
                Ok(Moved::NeedsGo(needed)) => format!("the newest requires Go {needed}"),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => {
                    let said = error.to_string();
                    said.lines().last().unwrap_or_default().trim().to_owned()
                }
            };
            notes.push(Note {
                kind: Kind::Information,
                code: "requirement",
                what: format!("{module} stays as it is: {why}"),
                spots: Vec::new(),
            });
        }
        require::tidy(processes, &self.go, folder)?;
        Ok(notes)
    }

    /// What became of what is required directly, and of the Go that is.
    fn notes(&self, repo: &Repo, container: &Container, folder: &Utf8Path) -> Result<Vec<Note>> {
        let path = self.folder.join("go.mod");
        let (old, new) = (
            fs_err::read_to_string(&path)?,
            fs_err::read_to_string(folder.join("go.mod"))?,
        );
        let before = require::direct(&old);
        let mut notes = Vec::new();
        for (module, now) in require::direct(&new) {
            let was = before.iter().find(|(it, _)| *it == module);
            let was = was.map_or("nothing", |(_, version)| version.as_str());
            if was != now {
                notes.push(Note {
                    kind: Kind::Information,
                    code: "requirement",
                    what: format!("{module}: {was} -> {now}"),
                    spots: Vec::new(),
                });
            }
        }
        if let (Some(was), Some(now)) = (requirements::go(&old), requirements::go(&new))
            && was.value != now.value
        {
            let spot = |tree, found: requirements::Found| Spot {
                tree,
                path: repo.shown(&path).to_owned(),
                line: Some(found.line),
                text: found.value,
            };
            // The Go that moved the requirements may be newer than the one that builds.
            let here = go_here(repo, container, &requirements::numbers(&now.value))?;
            notes.push(Note {
                kind: if here.is_some() {
                    Kind::Decide
                } else {
                    Kind::Information
                },
                code: "go",
                what: format!("Go {} is required", now.value),
                spots: here
                    .into_iter()
                    .chain([spot("was", was), spot("now", now)])
                    .collect(),
            });
        }
        Ok(notes)
    }

    /// The files that Go wrote, in the place of the old ones.
    pub fn changed(&self, prepared: &Prepared) -> Result<Vec<Changed>> {
        let texts = prepared.before.iter().cloned().zip(read(&prepared.folder)?);
        let files = self.files().into_iter().zip(texts);
        Ok(files
            .map(|(path, (from, to))| Changed { path, from, to })
            .collect())
    }

    /// The files that Go writes.
    pub fn files(&self) -> Vec<Utf8PathBuf> {
        FILES.iter().map(|name| self.folder.join(name)).collect()
    }
}
